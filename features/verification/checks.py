"""Whether whole tracks belong where they are. Data flow: Tracks > checks in a row > Problems.

A check sees the tracks that the earlier ones left: what repair will remove vouches for nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from features.cli.progress import ProgressReport
from features.errors import UserError
from features.pipeline.discovery import Source
from features.pipeline.known_clocks import IMPORTED
from features.pipeline.source_hashes import SourceHashes
from features.store.feature_track import MAIN, SOUND
from features.store.fingerprint import ABSENT
from features.store.person_names import split_person
from features.store.track_store import CLOCK as FACES
from features.store.track_store import SUFFIX
from features.verification.files import Kind, Problem, Track

Check = Callable[[Sequence[Track]], Iterable[Problem]]


def judge(tracks: Sequence[Track], cached: Sequence[Track], sources: Check | None) -> list[Problem]:
    """All checks, one after the other.

    Args:
        tracks: The whole tracks of a store.
        cached: Those of its cache.
        sources: Compares tracks with their sources, if wanted.
    """
    checks: list[Check] = [renamed_streams, misnamed, other_people, mixed_keys]
    checks += [sources] if sources else []
    checks += [mixed_clocks, without_faces]
    problems: list[Problem] = []
    for check in checks:
        found = list(check(tracks))
        bad = {problem.path for problem in found}
        tracks = [t for t in tracks if t.path not in bad and t.path.parent not in bad]
        problems += found
    return problems + list(stale_cache(cached, tracks))


def renamed_streams(tracks: Sequence[Track]) -> Iterable[Problem]:
    """Folders in which no track is of the stream: renamed or copied by somebody on purpose."""
    for stream, members in _by_stream(tracks).items():
        said = {track.info.stream for track in members}
        if stream not in said:
            tracks_are = "1 track is" if len(members) == 1 else f"{len(members)} tracks are"
            cause = f"its {tracks_are} of stream {', '.join(sorted(said))}"
            yield Problem(Kind.FOREIGN, members[0].path.parent, cause)


def misnamed(tracks: Sequence[Track]) -> Iterable[Problem]:
    """Tracks that lie where another belongs."""
    for track in tracks:
        if (track.stream, track.id) != (track.info.stream, track.info.id):
            yield Problem(
                Kind.MISNAMED, track.path, f"it is {track.info.stream}/{track.info.id}{SUFFIX}"
            )


def mixed_keys(tracks: Sequence[Track]) -> Iterable[Problem]:
    """Tracks made in another way than most of their stream; of equal numbers the newest count."""
    for members in _by_stream(_extracted(tracks)).values():
        counts = Counter(map(_way, members))
        newest = {_way(track): track.changed for track in sorted(members, key=_changed)}
        usual = max(counts, key=lambda way: (counts[way], newest[way]))
        for track in members:
            names = zip(("encoder", "revision", "settings"), _way(track), usual, strict=True)
            if differ := [name for name, own, other in names if own != other]:
                cause = f"another {', '.join(differ)} than {counts[usual]} of {len(members)} tracks"
                yield Problem(Kind.STALE, track.path, f"{cause} of its stream")


def mixed_clocks(tracks: Sequence[Track]) -> Iterable[Problem]:
    """Everything visual of an id whose tracks, faces among them, are not on one clock.

    Which of them is right cannot be told, so all are to be redone.
    """
    by_id = defaultdict(list)
    for track in _extracted(tracks):
        if track.info.person != SOUND:
            by_id[track.id].append(track)
    for members in by_id.values():
        if len({track.clock for track in members}) > 1:
            lengths = ", ".join(f"{track.stream} {track.tokens}" for track in members)
            for track in members:
                yield Problem(Kind.STALE, track.path, f"not on one clock; frames: {lengths}")


def other_people(tracks: Sequence[Track]) -> Iterable[Problem]:
    """Where the faces of a video are not those of the people whom the faces track of `main` names.

    Extraction finds everybody anew if one of them is missing; tracks of others are left over from
    other settings or another file, and nothing renews them.
    """
    mains = {t.info.video: t for t in tracks if t.stream == FACES and t.info.person == MAIN}
    named = {video: main for video, main in mains.items() if main.info.people}  # old ones do not
    for main in named.values():
        for person in main.info.people:
            path = main.path.with_name(f"{replace(main.info, person=person).id}{SUFFIX}")
            if not path.exists():
                yield Problem(Kind.MISSING, path, f"one of the people of {main.path}")
    for track in _extracted(tracks):
        of = named.get(track.info.video)
        if of and track.info.person not in (SOUND, *of.info.people):
            cause = f"{of.path} does not name '{track.info.person}'"
            yield Problem(Kind.ORPHAN, track.path, cause)


def without_faces(tracks: Sequence[Track]) -> Iterable[Problem]:
    """Visual tracks whose faces are gone, or will be: extraction redoes them with the faces."""
    faces = {track.id for track in tracks if track.stream == FACES}
    for track in _extracted(tracks):
        if track.info.person != SOUND and track.id not in faces:
            yield Problem(Kind.ORPHAN, track.path, f"no whole {FACES}/{track.id}{SUFFIX}")


def stale_cache(cached: Sequence[Track], originals: Sequence[Track]) -> Iterable[Problem]:
    """Aligned tracks whose original is gone or made anew since, or whose clock is nobody's now."""
    known = {(track.stream, track.id): track for track in originals}
    clocks = _clocks(originals)
    for track in cached:
        name = track.id.rpartition("-")[0]
        original = known.get((track.stream, name))
        if original is None:
            yield Problem(Kind.CACHE, track.path, f"no {track.stream}/{name}{SUFFIX}")
        elif original.info.key != track.info.key or original.changed > track.changed:
            yield Problem(Kind.CACHE, track.path, f"{original.path} was made anew")
        elif not any(track.clock in clocks[video] for video in _videos(original)):
            yield Problem(Kind.CACHE, track.path, "aligned on frame times that no track has now")


def source_check(root: Path, sources: Sequence[Source], hashes: SourceHashes) -> Check:
    """A check against the sources below `root`; UserError if they are those of another store."""
    by_id = {source.id: source for source in sources}

    def check(tracks: Sequence[Track]) -> Iterable[Problem]:
        tracks = _extracted(tracks)
        if tracks and not any(track.info.video in by_id for track in tracks):
            raise UserError(
                f"{root}: no track of the store is of a source in it; give its own root"
            )
        with ProgressReport("compare with sources", len(tracks)) as progress:
            for track in tracks:
                progress.step(track.id)
                source = by_id.get(track.info.video)
                try:
                    made_from = source and _made_from(source, track.info.person, hashes)
                except (UserError, OSError) as error:
                    why = f"its source cannot be read: {error}"
                    yield Problem(Kind.UNREADABLE, track.path, why)
                    continue
                read = track.info.person == SOUND and _may_be_read(source, track, hashes)
                if not made_from:
                    yield Problem(Kind.ORPHAN, track.path, f"no source of it below {root}")
                elif made_from != track.info.source and not read:
                    yield Problem(Kind.STALE, track.path, "its source has changed")

    return check


def _made_from(source: Source, person: str, hashes: SourceHashes) -> str | None:
    """Hash of what a person's tracks are made from; None if it is gone."""
    there = person in source.crops if source.crops else source.video is not None
    return hashes.of_source(source, person) if there or person == SOUND else None


def _may_be_read(source: Source | None, track: Track, hashes: SourceHashes) -> bool:
    """Whether a track of the whole clip is of a file beside it, or of one that is not there."""
    beside = source.beside if source else ()
    made_from = track.info.source
    return made_from == ABSENT or any(made_from == hashes.of(path) for path in beside)


def _clocks(tracks: Iterable[Track]) -> dict[str, set[bytes]]:
    """Clocks on which something visual of a video is, by video."""
    clocks = defaultdict(set)
    for track in tracks:
        if track.info.person != SOUND:
            for video in _videos(track):
                clocks[video].add(track.clock)
    return clocks


def _videos(track: Track) -> set[str]:
    """Ids of the videos that a track may belong to, by its header and by its name."""
    return {track.info.video, split_person(track.id)[0]}


def _by_stream(tracks: Iterable[Track]) -> dict[str, list[Track]]:
    streams = defaultdict(list)
    for track in tracks:
        streams[track.stream].append(track)
    return streams


def _extracted(tracks: Iterable[Track]) -> list[Track]:
    """Without ingested tracks: their clock, settings and source are as each file's user chose."""
    return [track for track in tracks if track.info.encoder != IMPORTED]


def _way(track: Track) -> tuple[str, str, str]:
    """How a track was made."""
    return track.info.encoder, track.info.revision, track.info.settings


def _changed(track: Track) -> int:
    return track.changed
