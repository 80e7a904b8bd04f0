"""The work of extraction on one source: how what it lacks (wanted.py) is made.

Data flow: source > sound > audio tracks; source > faces tracks (first pass over the frames)
> crops > visual tracks (second pass). Two passes, since who is `main`, `left` or `right` is known
only at the end of a video; memory holds boxes and features, never more than a block of pictures.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from features.cli import UserError
from features.crops import crop_numbers, crop_person, read_crops
from features.encoders.protocol import AudioEncoder, Encoder, VisualEncoder
from features.faces.crop import crop_faces
from features.faces.detect import FaceDetector, FaceSettings
from features.faces.follow import find_people
from features.faces.person import Person, pack, unpack
from features.media import FrameBlock, frame_times, read_frames, read_sound
from features.sources import Source, SourceHashes
from features.store import TrackStore
from features.timing import StageTimes
from features.track import MAIN, SOUND, FeatureTrack
from features.wanted import FACES, Todo, Wanted


class Extractor:
    """Plans and does the work on sources with one set of encoders.

    Args:
        store: Where tracks go.
        hashes: Hashes of source files.
        faces: How faces are found and cut out.
        encoders: Encoders to run.
        crops_fps: Frame rate of ready-made crops without a video.
        on_progress: Called once a block.
    """

    def __init__(
        self,
        store: TrackStore,
        hashes: SourceHashes,
        faces: FaceSettings,
        encoders: Sequence[Encoder],
        crops_fps: float | None = None,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._faces = store, faces
        self._on_progress = on_progress
        self._crops_fps = crops_fps
        self._detector = FaceDetector(faces)
        revision = self._detector.revision
        self._wanted = Wanted(store, hashes, faces, revision, encoders, crops_fps)
        self.times = StageTimes()

    def plan(self, source: Source) -> Todo:
        """What the source still needs; UserError if its file cannot be read."""
        return self._wanted.plan(source)

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
        return self._wanted.key(source)

    def halve_block(self) -> bool:
        """Takes half as many frames at once from now on; False if it is one already."""
        if self._faces.batch <= 1:
            return False
        self._faces = replace(self._faces, batch=self._faces.batch // 2)
        return True

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
            tokens = encoder.encode_sound(self._watched(sound.blocks))
        for stream, values in tokens.values.items():
            self._write(source, SOUND, stream, encoder, values, tokens.times + sound.offset)
        self.times.add(encoder.name, float(tokens.times[-1]) if len(tokens.times) else 0.0)

    def _watched(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The blocks, each told as progress."""
        for block in blocks:
            self._on_progress()
            yield block

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
                self._on_progress()
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
            person: self._store.read(FACES, self._wanted.info(source, person, FACES, None).id)
            for person in self._wanted.people(source)
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
                self._on_progress()
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
        info = self._wanted.info(source, person, stream, encoder)
        frames = 0 if person == SOUND else len(times)
        valid = np.ones(len(times), bool) if valid is None else valid
        values = values if encoder is None else values.astype(np.float16)
        info = replace(info, frames=frames, notes=notes)
        self._store.write(FeatureTrack(values, times, valid, info))
