"""What a source should have in the store, what of it is ready, and what is to be made.

Data flow: source + encoders > headers of the tracks it should have > held against the store > Plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from features.encoders.base import Description, Encoder
from features.faces.detect import FaceSettings
from features.faces.person_track import FACE_COLUMNS
from features.faces.yunet import face_detector
from features.media import Reader
from features.media.kinds import shows_pictures
from features.pipeline.discovery import Source
from features.pipeline.source_hashes import SourceHashes
from features.store.feature_track import MAIN, SOUND, DamagedTrack, TrackInfo
from features.store.fingerprint import PICTURES, fingerprint, library_versions, settings_hash
from features.store.fingerprint import SOUND as SOUND_VERSION
from features.store.person_names import parse_persons
from features.store.track_store import Status, TrackStore

FACES = "faces"
"""Stream of boxes and landmarks; its times are the frame clock of everything visual."""


@dataclass(frozen=True)
class TrackSettings:
    """What tracks depend on besides their encoders, and who decodes, which does not change them.

    Attributes:
        faces: How faces are found and cut out.
        crops_fps: Frame rate of ready-made crops without a video.
        persons: Who is kept: `main`, `all` or how many.
        reader: Who decodes pictures.
    """

    faces: FaceSettings = FaceSettings()  # noqa: RUF009 (frozen)
    crops_fps: float | None = None
    persons: str = "2"
    reader: Reader = "pyav"


@dataclass(frozen=True)
class Plan:
    """What a source still needs.

    Attributes:
        source: The source.
        faces: Whether faces must be found.
        visual: Visual encoders that lack a stream of some person.
        audio: Audio encoders that lack a stream.
        files: Token encoders that lack a stream.
        people: Everybody whose faces are known; empty if faces must be found.
    """

    source: Source
    faces: bool
    visual: tuple[Description, ...]
    audio: tuple[Description, ...]
    people: tuple[str, ...] = ()
    files: tuple[Description, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether everything is there."""
        return not (self.faces or self.visual or self.audio or self.files)


class Planner:
    """The tracks that sources should have, by one set of encoders, which are its `encoders`.

    Args:
        store: Where tracks are.
        hashes: Hashes of source files.
        settings: What tracks depend on.
        encoders: Encoders to run.
    """

    def __init__(
        self,
        store: TrackStore,
        hashes: SourceHashes,
        settings: TrackSettings,
        encoders: Sequence[Description],
    ) -> None:
        self._store, self._hashes = store, hashes
        self._searcher: str = settings.faces.detector
        self._detector = face_detector(settings.faces).revision
        self._cropping = {
            "faces": settings.faces.key(),
            "detector": self._detector,
            "persons": parse_persons(settings.persons),
            "pictures": PICTURES,
        }
        self._visual = tuple(e for e in encoders if e.kind == "faces")
        self._audio = tuple(e for e in encoders if e.kind == "sound")
        self._files = tuple(e for e in encoders if e.kind == "file")
        self.encoders = tuple(encoders)
        self._crops_fps = settings.crops_fps

    def plan(self, source: Source) -> Plan:
        """What the source still needs; UserError if its file cannot be read."""
        heard = source.media or (source.arrays and source.arrays.samples is not None)
        audio = tuple(e for e in self._audio if heard and self._lacks(source, SOUND, e))
        files = tuple(e for e in self._files if self._lacks(source, SOUND, e))
        if not source.has_pictures:
            return Plan(source, False, (), audio, files=files)
        people = self._people(source)
        if not (people or source.crops) and source.media and not shows_pictures(source.media):
            return Plan(replace(source, pictures=False), False, (), audio, files=files)
        visual = tuple(
            e for e in self._visual if not people or any(self._lacks(source, p, e) for p in people)
        )
        return Plan(source, not people, visual, audio, people, files)

    def key(self, source: Source) -> str:
        """Hash of the source's content and of every setting: another may end otherwise."""
        ordered = (*self._visual, *self._audio, *self._files)
        encoders = [(e.name, e.revision, e.settings) for e in ordered]
        content = [self._hashes.of_source(source, person) for person in (MAIN, SOUND)]
        content += [self._hashes.of_file(source, e.reads or ()) for e in self._files]
        settings = [self._cropping_of(source), encoders]
        return fingerprint(content, settings, version=SOUND_VERSION)

    def _people(self, source: Source) -> tuple[str, ...]:
        """Everybody, if the faces of all of them are ready; else nobody."""
        people = tuple(source.crops) or self._named_by_main(source)
        ready = all(self._ready(self.info(source, person, FACES, None)) for person in people)
        return people if ready else ()

    def _named_by_main(self, source: Source) -> tuple[str, ...]:
        """Everybody in a video, as the faces track of `main` tells, which is written last.

        Nobody if it is not ready, or of a version that did not tell.
        """
        info = self.info(source, MAIN, FACES, None)
        try:
            found = self._store.info(FACES, info.id)
        except (FileNotFoundError, DamagedTrack):
            return ()
        return tuple(found.people) if found.key == info.key else ()

    def _cropping_of(self, source: Source) -> dict[str, Any]:
        """Every setting that faces depend on; crops without a video have a clock that is given."""
        clock = {"crops_fps": self._crops_fps} if source.crops and source.video is None else {}
        return self._cropping | clock

    def info(
        self, source: Source, person: str, stream: str, encoder: Description | Encoder | None
    ) -> TrackInfo:
        """Header of a track that is about to be made, or is looked for; no encoder means faces."""
        made_from = None
        if encoder is None:
            name, columns = self._searcher, FACE_COLUMNS
            revision, settings = self._detector, self._cropping_of(source)
        else:
            name, revision, settings = encoder.name, encoder.revision, dict(encoder.settings)
            columns = getattr(encoder, "columns", {}).get(stream, ())
            reads = getattr(encoder, "reads", None)
            if reads is not None:
                made_from = self._hashes.of_file(source, reads)
                settings |= {} if reads else {"pictures": PICTURES, "sound": SOUND_VERSION}
            elif person == SOUND:
                settings["sound"] = SOUND_VERSION
            else:
                settings["crops"] = self._cropping_of(source)
        made_from = made_from or self._hashes.of_source(source, person)
        assert made_from is not None
        return TrackInfo(
            video=source.id,
            person=person,
            stream=stream,
            encoder=name,
            revision=revision,
            settings=settings_hash(settings),
            source=made_from,
            versions=library_versions(),
            columns=tuple(columns),
        )

    def _ready(self, info: TrackInfo) -> bool:
        return self._store.status(info.stream, info.id, info.key) is Status.READY

    def _lacks(self, source: Source, person: str, encoder: Description) -> bool:
        """Whether any stream of the encoder is not ready."""
        return not all(self._ready(self.info(source, person, s, encoder)) for s in encoder.streams)
