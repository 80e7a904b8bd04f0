"""What there is to extract below a folder: video files, sound files, ready-made crops.

Data flow: folder > Sources by id, and what is passed over > sha256 of each source (remembered by
size and time of change).

A file is what PyAV can decode of it (media/kinds.py). Pictures and a sound file of one name are one
source, as in CREMA-D: `VideoFlash/1001_DFA_ANG_XX.flv`, `AudioWAV/1001_DFA_ANG_XX.wav`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from features.cli.default_corpus import default_store
from features.errors import UserError
from features.faces.precropped import FOLDERS as CROP_FOLDERS
from features.faces.precropped import find_crops
from features.media import Arrays, MediaFile, Reader, Recording
from features.media.folders import say_unreadable, walk
from features.media.kinds import Kind, by_content, by_ending, kind_of
from features.store.feature_track import MAIN
from features.store.person_names import may_be_named, split_person


@dataclass(frozen=True)
class Source:
    """One video id and its files.

    Attributes:
        id: Stem of the video file, or of the crop folder without `_left`, `_right`, `_person3`.
        media: Video or sound file, if there is one.
        crops: Person (`main`, `left`, `person3`) to folders of ready-made crops; empty without.
        sound: Sound file of the same name beside a video, heard if the video is mute.
        pictures: Whether `media` shows pictures; None: its ending tells.
        beside: Files of its name that are neither pictures nor sound, e.g. a transcript.
        arrays: The clip itself where it is in memory and not in a file.
    """

    id: str
    media: Path | None
    crops: dict[str, tuple[Path, ...]]
    sound: Path | None = None
    pictures: bool | None = None
    beside: tuple[Path, ...] = ()
    arrays: Arrays | None = None

    @property
    def video(self) -> Path | None:
        """The media file if it is a video."""
        if self.media is None or self.pictures is not None:
            return self.media if self.pictures else None
        return None if by_ending(self.media) == "sound" else self.media

    @property
    def files(self) -> tuple[Path, ...]:
        """The media file and the sound beside it."""
        return tuple(path for path in (self.media, self.sound) if path)

    @property
    def has_pictures(self) -> bool:
        """Whether there is anything to see."""
        in_memory = self.arrays is not None and self.arrays.frames is not None
        return in_memory or bool(self.crops) or self.video is not None

    def recording(self, reader: Reader = "pyav") -> Recording:
        """Its pictures and sound; not of crops alone."""
        if self.arrays is not None:
            return self.arrays
        assert self.media is not None
        return MediaFile(self.media, reader)

    def file_for(self, reads: Sequence[str]) -> Path | None:
        """The file that an encoder reads: of the first ending that there is; without, the media.

        Raises:
            UserError: If there are several and none lies in the folder of the media.
        """
        if not reads:
            return self.media
        for ending in reads:
            found = [path for path in self.beside if path.suffix.lower() == ending]
            near = [p for p in found if self.media is not None and p.parent == self.media.parent]
            if len(near or found) > 1:
                raise UserError(f"{found[0]} and {found[1]} are both of '{self.id}'; remove one")
            if found:
                return (near or found)[0]
        return None


@dataclass
class Found:
    """What lies below a folder.

    Attributes:
        sources: Ordered by id.
        passed: Ending, in small letters and with its dot, to how many files with it were passed
            over, since they are neither pictures nor sound.
        unreadable: Folders that cannot be read.
    """

    sources: list[Source] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)
    unreadable: list[Path] = field(default_factory=list)


def find_sources(root: Path) -> list[Source]:
    """As `look_through`, without what is passed over."""
    return look_through(root).sources


def look_through(root: Path, store: Path | None = None) -> Found:
    """Everything to extract below `root` (or the one file that `root` is).

    Args:
        root: Folder or file.
        store: Folder of tracks, which is not looked into; nor is `ROOT/tracks`.

    Raises:
        UserError: If the path is absent, holds nothing, or two files would share an id.
    """
    if not root.exists():
        raise UserError(f"{root}: no such file or folder; check the path")
    found = Found()
    files, others = _media_files(root, store, found)
    media = {stem: _one_source(stem, kinds) for stem, kinds in files.items()}
    crops: dict[str, dict[str, tuple[Path, ...]]] = {}
    for name, folders in (find_crops(root) if root.is_dir() else {}).items():
        video, person = split_person(name, media)
        crops.setdefault(video, {})[person] = tuple(folders)
    for name in sorted(media.keys() | crops.keys()):
        source = media.get(name) or Source(name, None, {})
        beside = tuple(sorted(others.get(name, ())))
        found.sources.append(replace(source, crops=crops.get(name, {}), beside=beside))
    if not found.sources:
        passed = f"; passed over: {endings(found.passed)}" if found.passed else ""
        raise UserError(
            f"{root}: no video, sound or folder of crops in it (tracks, and names that begin with a"
            f" dot, are left out{passed}); give another folder"
        )
    return found


def endings(passed: Mapping[str, int]) -> str:
    """`12 .txt, 1 without ending, 1 .jpg`, the commonest first."""
    ordered = sorted(passed.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count:,} {ending or 'without ending'}" for ending, count in ordered)


def _media_files(
    root: Path, store: Path | None, found: Found
) -> tuple[dict[str, dict[Path, Kind]], dict[str, list[Path]]]:
    """Stem to media files at `root` or below and their kinds, and stem to what else lies there.

    Hidden files and tracks are left out. What is named like a media file and cannot be read (a
    broken link, a pipe) is among them, to be reported.
    """
    if root.is_file():
        beside = [p for p in root.parent.iterdir() if p.stem == root.stem and p != root]
        return {root.stem: {root: kind_of(root) or "pictures"}}, {
            root.stem: [path for path in beside if path.is_file() and not by_ending(path)]
        }
    tracks = {default_store(root), root if store is None else store}
    files: dict[str, dict[Path, Kind]] = {}
    others: dict[str, list[Path]] = {}
    for folder, folders, names in walk(root, _noted(found)):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name.lower() not in CROP_FOLDERS
            and folder / name not in tracks
        ]
        for path in (folder / name for name in names if not name.startswith(".")):
            if kind := kind_of(path):
                files.setdefault(path.stem, {})[path] = kind
            else:
                found.passed[path.suffix.lower()] += 1
                others.setdefault(path.stem, []).append(path)
    return files, others


def _noted(found: Found) -> Callable[[Path, OSError], None]:
    def note(folder: Path, error: OSError) -> None:
        say_unreadable(folder, error)
        found.unreadable.append(folder)

    return note


def _one_source(stem: str, kinds: dict[Path, Kind]) -> Source:
    """The source that all files of one stem are; UserError if two are of a kind."""
    if len(kinds) > 1 and len(set(kinds.values())) < len(kinds):
        kinds = {path: by_content(path) or kind for path, kind in kinds.items()}
    pictures = sorted(path for path, kind in kinds.items() if kind == "pictures")
    sounds = sorted(path for path, kind in kinds.items() if kind == "sound")
    for alike in (pictures, sounds):
        if len(alike) > 1:
            raise UserError(f"{alike[1]} and {alike[0]} have the same id '{stem}'; rename one")
    media = (pictures or sounds)[0]
    beside = sounds[0] if pictures and sounds else None
    return Source(stem, media, {}, beside, pictures=bool(pictures))


def require_distinct(sources: Sequence[Source], persons: int) -> None:
    """Checks that no source could have a track of another's name.

    Args:
        sources: All of them.
        persons: Most people that are told apart in a video.

    Raises:
        UserError: If two people in `call` would be `call_left` and `call_right`, and there is a
            source of that name too; names all such.
    """
    by_id = {source.id: source for source in sources}
    clashes = []
    for source in sources:
        video, person = split_person(source.id)
        other = by_id.get(video) if person != MAIN else None
        if other and (
            person in other.crops
            if other.crops
            else other.has_pictures and may_be_named(person, persons)
        ):
            clashes.append(f"'{source.id}' and the person '{person}' in '{video}'")
    if clashes:
        raise UserError(
            f"{'; '.join(clashes)} would have tracks of one name; rename these files, or take"
            " --persons main where only one person counts"
        )
