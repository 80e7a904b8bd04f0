"""The work of extraction on one source: what is missing, and how it is made.

Data flow: source > sound > audio tracks; source > faces tracks (first pass over the frames)
> crops > visual tracks (second pass). Two passes, since who is `main`, `left` or `right` is known
only at the end of a video; memory holds boxes and features, never more than a block of pictures.
"""

import importlib.metadata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from features.cli import UserError
from features.crops import crop_numbers, crop_person, read_crops
from features.encoders.protocol import AudioEncoder, Encoder, VisualEncoder
from features.faces.crop import crop_faces
from features.faces.detect import FaceDetector, FaceSettings
from features.faces.follow import find_people
from features.faces.person import Person, pack, unpack
from features.hashing import settings_hash
from features.media import FrameBlock, frame_times, read_frames, read_sound
from features.sources import Source, SourceHashes
from features.store import Status, TrackStore
from features.timing import StageTimes
from features.track import MAIN, SOUND, FeatureTrack, TrackInfo

FACES = "faces"
"""Stream of boxes and landmarks; its times are the frame clock of everything visual."""


@dataclass(frozen=True)
class Todo:
    """What a source still needs.

    Attributes:
        source: The source.
        faces: Whether faces must be found.
        visual: Visual encoders that lack a stream of some person.
        audio: Audio encoders that lack a stream.
    """

    source: Source
    faces: bool
    visual: tuple[VisualEncoder, ...]
    audio: tuple[AudioEncoder, ...]

    @property
    def empty(self) -> bool:
        """Whether everything is there."""
        return not (self.faces or self.visual or self.audio)


class Extractor:
    """Plans and does the work on sources with one set of encoders.

    Args:
        store: Where tracks go.
        hashes: Hashes of source files.
        faces: How faces are found and cut out.
        encoders: Encoders to run.
        crops_fps: Frame rate of ready-made crops without a video.
    """

    def __init__(
        self,
        store: TrackStore,
        hashes: SourceHashes,
        faces: FaceSettings,
        encoders: Sequence[Encoder],
        crops_fps: float | None = None,
    ) -> None:
        self._store, self._hashes, self._faces = store, hashes, faces
        self._visual = tuple(e for e in encoders if isinstance(e, VisualEncoder))
        self._audio = tuple(e for e in encoders if isinstance(e, AudioEncoder))
        self._crops_fps = crops_fps
        self._detector = FaceDetector(faces)
        self.times = StageTimes()

    def plan(self, source: Source) -> Todo:
        """What the source still needs; UserError if its file cannot be read."""
        audio = tuple(e for e in self._audio if source.media and self._lacks(source, SOUND, e))
        if not source.has_pictures:
            return Todo(source, False, (), audio)
        people = self._people(source)
        visual = tuple(
            e for e in self._visual if not people or any(self._lacks(source, p, e) for p in people)
        )
        return Todo(source, not people, visual, audio)

    def work(self, todo: Todo) -> None:
        """Makes what is missing; every track is on disk when it is finished.

        Raises:
            UserError: If the source cannot be read; tracks written before stay.
        """
        for audio in todo.audio:
            self._hear(todo.source, audio)
        if todo.faces:
            self._find_faces(todo.source)
        if todo.visual:
            self._look(todo.source, todo.visual)

    def key(self, source: Source) -> str:
        """Hash of the source's content and of every setting: another may end otherwise."""
        encoders = [(e.name, e.revision, e.settings) for e in (*self._visual, *self._audio)]
        content = [self._source_hash(source, MAIN)] if source.has_pictures else []
        content += [self._hashes.of(source.media)] if source.media else []
        faces = [self._faces.key(), self._detector.revision, self._crops_fps]
        return settings_hash([content, faces, encoders])

    def halve_block(self) -> bool:
        """Takes half as many frames at once from now on; False if it is one already."""
        if self._faces.batch <= 1:
            return False
        self._faces = replace(self._faces, batch=self._faces.batch // 2)
        return True

    # What is there ---------------------------------------------------------------------------

    def _source_hash(self, source: Source, person: str) -> str:
        """Hash of what a person's tracks depend on: the crops if there are any, else the file."""
        if person != SOUND and source.crops:
            folders = [folder for name in sorted(source.crops) for folder in source.crops[name]]
            return self._hashes.of_all(folders + ([source.media] if source.media else []))
        assert source.media is not None
        return self._hashes.of(source.media)

    def _info(self, source: Source, person: str, stream: str, encoder: Encoder | None) -> TrackInfo:
        """Header of a track that is about to be made, or is looked for; no encoder means faces."""
        cropping = {"faces": self._faces.key(), "detector": self._detector.revision}
        if encoder is None:
            name, revision, settings = "mtcnn", self._detector.revision, cropping
        else:
            name, revision, settings = encoder.name, encoder.revision, dict(encoder.settings)
            if person != SOUND:
                settings["crops"] = cropping
        return TrackInfo(
            video=source.id,
            person=person,
            stream=stream,
            encoder=name,
            revision=revision,
            settings=settings_hash(settings),
            source=self._source_hash(source, person),
            versions=library_versions(),
        )

    def _ready(self, info: TrackInfo) -> bool:
        return self._store.status(info.stream, info.id, info.key) is Status.READY

    def _lacks(self, source: Source, person: str, encoder: Encoder) -> bool:
        """Whether any stream of the encoder is not ready."""
        return not all(self._ready(self._info(source, person, s, encoder)) for s in encoder.streams)

    def _people(self, source: Source) -> list[str]:
        """People whose faces are known; empty if faces must be found.

        `main` is written last, so it stands for all people of a video.
        """
        ready = [
            person
            for person in (source.crops or (MAIN, "left", "right"))
            if self._ready(self._info(source, person, FACES, None))
        ]
        complete = len(ready) == len(source.crops) if source.crops else MAIN in ready
        return ready if complete else []

    # Sound -----------------------------------------------------------------------------------

    def _hear(self, source: Source, encoder: AudioEncoder) -> None:
        """Writes the streams of one audio encoder; empty tracks for a video without sound."""
        assert source.media is not None
        with self.times.stage(encoder.name):
            sound = read_sound(source.media, encoder.rate)
            if sound is None:
                empty = np.zeros(0)
                for stream, dim in encoder.streams.items():
                    values = np.zeros((0, dim), np.float16)
                    self._write(source, SOUND, stream, encoder, values, empty, notes="no sound")
                return
            tokens = encoder.encode_sound(sound.blocks)
        for stream, values in tokens.values.items():
            self._write(source, SOUND, stream, encoder, values, tokens.times + sound.offset)
        self.times.add(encoder.name, float(tokens.times[-1]) if len(tokens.times) else 0.0)

    # Pictures --------------------------------------------------------------------------------

    def _find_faces(self, source: Source) -> None:
        """Writes a faces track for each person, `main` last."""
        with self.times.stage("find faces"):
            people, times = self._crop_people(source) if source.crops else self._detect(source)
        self.times.add("find faces", len(times))
        for person in sorted(people, key=lambda p: p.name == MAIN):
            self._write(source, person.name, FACES, None, pack(person), times, person.valid)

    def _detect(self, source: Source) -> tuple[list[Person], np.ndarray]:
        """People of a video and the times of its frames."""
        assert source.media is not None
        path, clock = source.media, list[np.ndarray]()

        def blocks() -> Iterator[FrameBlock]:
            for block in read_frames(path, self._faces.batch):
                clock.append(block.times)
                yield block

        people = find_people(blocks(), self._detector, self._faces)
        return people, np.concatenate(clock)

    def _crop_people(self, source: Source) -> tuple[list[Person], np.ndarray]:
        """People of ready-made crops and the times of the frames."""
        numbers = {person: crop_numbers(folders) for person, folders in source.crops.items()}
        if source.video:
            times = frame_times(source.video)
        elif not any(map(len, numbers.values())):
            raise UserError(f"{source.id}: its folders of crops are empty; fill or remove them")
        elif self._crops_fps:
            frames = max(n.max() for n in numbers.values() if len(n))
            times = np.arange(frames) / self._crops_fps
        else:
            raise UserError(
                f"{source.id}: crops without a video have no times; give --data.crops_fps"
            )
        return [crop_person(name, found, len(times)) for name, found in numbers.items()], times

    def _look(self, source: Source, encoders: Sequence[VisualEncoder]) -> None:
        """Writes the streams of visual encoders for everybody in a video."""
        faces = {
            person: self._store.read(FACES, self._info(source, person, FACES, None).id)
            for person in self._people(source)
        }
        values = {
            (person, stream): np.zeros((len(track), dim), np.float16)
            for person, track in faces.items()
            for encoder in encoders
            for stream, dim in encoder.streams.items()
        }
        seen = {person: np.zeros(len(track), bool) for person, track in faces.items()}
        with self.times.stage("crop and encode"):
            for person, rows, crops in self._crops(source, faces):
                seen[person][rows] = True
                self.times.add("crop and encode", len(rows))
                for encoder in encoders:
                    for stream, part in encoder.encode_faces(crops).items():
                        values[person, stream][rows] = part
        for encoder in encoders:
            for person, track in faces.items():
                for stream in encoder.streams:
                    result = values[person, stream]
                    self._write(source, person, stream, encoder, result, track.times, seen[person])

    def _crops(
        self, source: Source, faces: dict[str, FeatureTrack]
    ) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Crops of everybody, block by block: (person, rows (N,), crops (N, H, W, 3))."""
        if source.crops:
            for person, folders in source.crops.items():
                for numbers, crops in read_crops(folders, self._faces.batch):
                    inside = numbers <= len(faces[person])
                    yield person, numbers[inside] - 1, crops[inside]
            return
        assert source.media is not None
        people = {name: unpack(track.values, track.valid) for name, track in faces.items()}
        for block in read_frames(source.media, self._faces.batch):
            rows = np.arange(block.first, block.first + len(block.times))
            for name, who in people.items():
                there = rows[who.valid[rows]]
                if len(there):
                    images = block.images[there - block.first]
                    yield name, there, crop_faces(images, who.landmarks[there], self._faces)

    def _write(
        self,
        source: Source,
        person: str,
        stream: str,
        encoder: Encoder | None,
        values: np.ndarray,
        times: np.ndarray,
        valid: np.ndarray | None = None,
        notes: str = "",
    ) -> None:
        """Writes one track; all rows are valid unless said otherwise."""
        info = self._info(source, person, stream, encoder)
        frames = 0 if person == SOUND else len(times)
        valid = np.ones(len(times), bool) if valid is None else valid
        values = values if encoder is None else values.astype(np.float16)
        info = replace(info, frames=frames, notes=notes)
        self._store.write(FeatureTrack(values, times, valid, info))


@cache
def library_versions() -> dict[str, str]:
    """Versions of what touches the values, for the record."""
    names = ("affuse", "torch", "numpy", "av", "decord", "facenet-pytorch", "transformers")
    found = {}
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):  # decord has no wheel everywhere
            found[name] = importlib.metadata.version(name)
    return found
