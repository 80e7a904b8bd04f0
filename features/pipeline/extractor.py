"""The work of extraction on one source: how what it lacks (planner.py) is made.

Data flow: source > first look (video_pass.py) > people > second look, if anything is missing >
faces tracks > visual tracks; beside it, in a thread, sound and files > their tracks (clip_pass.py).

Memory holds boxes and features, and no more than a few blocks of pictures.
"""

import itertools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from features.cli.progress import unless
from features.encoders.base import (
    AudioEncoder,
    Encoder,
    TokenEncoder,
    VisualEncoder,
    description_of,
)
from features.errors import UserError
from features.faces.detect import FaceDetector, FaceSettings
from features.faces.person_track import Person, pack, unpack
from features.faces.precropped import crop_numbers, crop_person, framed, read_crops
from features.faces.tracker import Follower
from features.media import Reader, frame_times
from features.pipeline.clip_pass import hear, read_files
from features.pipeline.discovery import Source
from features.pipeline.failures import is_out_of_memory
from features.pipeline.feature_buffer import Gathered
from features.pipeline.planner import FACES, Todo, Wanted
from features.pipeline.source_hashes import SourceHashes
from features.pipeline.timing import StageTimes
from features.pipeline.video_pass import Looks
from features.store.feature_track import MAIN, SOUND, FeatureTrack
from features.store.person_names import parse_persons
from features.store.track_store import TrackStore

if TYPE_CHECKING:
    import torch


class SoundOutOfMemory(MemoryError):
    """Memory was too small for the sound; smaller blocks of pictures are no remedy."""


class Extractor:
    """Plans and does the work on sources with one set of encoders.

    Args:
        store: Where tracks go.
        hashes: Hashes of source files.
        faces: How faces are found and cut out.
        encoders: Encoders to run.
        crops_fps: Frame rate of ready-made crops without a video.
        persons: Who is kept: `main`, `all` or how many.
        device: Where faces are looked for.
        reader: Who decodes pictures; it does not change them.

    Attributes:
        times: Where the time of each stage is counted.
        most: Seconds of a source after which work on it stops, for who measures; None: the end.
        clock: Whether faces are found though no encoder wants them: they are the frames' clock.
        encoders: Those that it runs.
    """

    def __init__(
        self,
        store: TrackStore,
        hashes: SourceHashes,
        faces: FaceSettings,
        encoders: Sequence[Encoder],
        crops_fps: float | None = None,
        persons: str = "2",
        device: "torch.device | str" = "cpu",
        reader: Reader = "pyav",
    ) -> None:
        self._reader = reader
        self._store, self._faces, self._batch = store, faces, faces.batch
        self._crops_fps, self._persons = crops_fps, parse_persons(persons)
        self._detector = FaceDetector(faces, device)
        self._visual = {e.name: e for e in encoders if isinstance(e, VisualEncoder)}
        self._audio = {e.name: e for e in encoders if isinstance(e, AudioEncoder)}
        self._files = {e.name: e for e in encoders if isinstance(e, TokenEncoder)}
        described = [description_of(encoder) for encoder in encoders]
        self._wanted = Wanted(store, hashes, faces, described, crops_fps, persons)
        self.times = StageTimes()
        self.most: float | None = None
        self.clock, self.encoders = True, tuple(encoders)

    def plan(self, source: Source) -> Todo:
        """What the source still needs; UserError if its file cannot be read."""
        todo = self._wanted.plan(source)
        return todo if self.clock or self._visual else replace(todo, faces=False)

    def work(self, todo: Todo) -> None:
        """Makes what is missing; every track is on disk when it is finished.

        Raises:
            UserError: If the source cannot be read; what could be made of it is.
            SoundOutOfMemory: If all but the sound is made.
        """
        unwanted = Event()
        with ThreadPoolExecutor(1, "sound") as thread:
            sound = thread.submit(unless, unwanted, self._listen, todo)
            try:
                self._see(todo)
                _done(sound)
            except UserError as error:
                heard = sound.exception()
                if isinstance(heard, UserError) and str(heard) != str(error):
                    raise UserError(f"{error}; {heard}") from error
                raise
            except KeyboardInterrupt:
                unwanted.set()  # or leaving would wait for all of the sound
                raise

    def _listen(self, todo: Todo) -> None:
        """Writes the streams of the whole clip."""
        audio = [self._audio[one.name] for one in todo.audio]
        hear(todo.source, audio, self._write, self.times, self.most)
        files = [self._files[one.name] for one in todo.files]
        read_files(todo.source, files, self._write, self.times)

    def halve_block(self) -> bool:
        """Takes half as many frames at once, till `whole_block`; False if it is one already."""
        if self._faces.batch <= 1:
            return False
        self._faces = replace(self._faces, batch=self._faces.batch // 2)
        return True

    def whole_block(self) -> None:
        """Takes as many frames at once as the settings say."""
        self._faces = replace(self._faces, batch=self._batch)

    def _see(self, todo: Todo) -> None:
        """Writes the faces of everybody, `main` last, then the visual streams.

        The faces track of `main` tells that people are known: what a run killed after it still
        lacks takes a second look, which gives the same.
        """
        if not (todo.faces or todo.visual):
            return
        if todo.source.crops:
            self._see_crops(todo)
        elif todo.faces:
            self._look_first(todo)
        else:
            self._look_again(todo)

    def _look_first(self, todo: Todo) -> None:
        """Finds everybody in a video."""
        looks, gathered = self._looks(todo.source), self._gathered(todo)
        follower = Follower(self._faces)
        times = looks.first(self._detector, follower, gathered)
        people = follower.people(self._persons)
        owners = {one.person.name: one.paths.copy() for one in people}
        known = {}
        for spare, one in zip(itertools.count(-2, -1), people, strict=False):  # -1 is nobody
            paths = owners[one.person.name]
            unseen = one.person.valid & ~gathered.has(paths)
            paths[unseen] = spare
            known[spare] = one.person, unseen
        if todo.visual and any(rows.any() for _, rows in known.values()):
            looks.second(known, gathered)
        self._write_faces(todo.source, [one.person for one in people], times)
        self._write_seen(todo, times, gathered, owners)

    def _look_again(self, todo: Todo) -> None:
        """Runs encoders on people who are known."""
        tracks = self._known_faces(todo)
        gathered = self._gathered(todo)
        people = [unpack(track.values, track.valid, name) for name, track in tracks.items()]
        known = {owner: (who, who.valid) for owner, who in enumerate(people)}
        self._looks(todo.source).second(known, gathered)
        times = next(iter(tracks.values())).times
        owners = {
            name: np.where(track.valid, owner, -1)
            for owner, (name, track) in enumerate(tracks.items())
        }
        self._write_seen(todo, times, gathered, owners)

    def _see_crops(self, todo: Todo) -> None:
        """Runs encoders on ready-made crops."""
        source, gathered = todo.source, self._gathered(todo)
        people, times = self._crop_people(source)
        for owner, person in enumerate(people if todo.visual else []):
            for numbers, crops in read_crops(source.crops[person.name], self._faces.batch):
                inside = numbers <= len(times)
                if not inside.any():
                    break
                rows = (numbers[inside] - 1).tolist()
                with self.times.stage("encode"):
                    gathered.add([owner] * len(rows), rows, framed(crops[inside], self._faces))
                self.times.add("encode", len(rows))
        gathered.flush()
        if todo.faces:
            self._write_faces(source, people, times)
        owners = {who.name: np.full(len(times), owner) for owner, who in enumerate(people)}
        self._write_seen(todo, times, gathered, owners)

    def _gathered(self, todo: Todo) -> Gathered:
        """Where the features of the encoders that are to run go."""
        return Gathered([self._visual[one.name] for one in todo.visual], self._faces.batch)

    def _looks(self, source: Source) -> Looks:
        return Looks(source.recording(self._reader), self._faces, self.times, self.most)

    def _known_faces(self, todo: Todo) -> dict[str, FeatureTrack]:
        """Faces tracks by person."""
        return {
            person: self._store.read(FACES, self._wanted.info(todo.source, person, FACES, None).id)
            for person in todo.people
        }

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
        times = times if self.most is None else times[times < self.most]
        return [crop_person(name, found, len(times)) for name, found in numbers.items()], times

    def _write_faces(self, source: Source, people: Sequence[Person], times: np.ndarray) -> None:
        """Writes where everybody's face is, `main` last."""
        names = tuple(person.name for person in people)
        for person in sorted(people, key=lambda person: person.name == MAIN):
            values = pack(person)
            self._write(source, person.name, FACES, None, values, times, person.valid, people=names)

    def _write_seen(
        self, todo: Todo, times: np.ndarray, gathered: Gathered, owners: dict[str, np.ndarray]
    ) -> None:
        """Writes the visual streams of people; rows (F,) whose owner gave nothing are empty."""
        seen = {name: gathered.has(rows) for name, rows in owners.items()}
        for encoder in (self._visual[one.name] for one in todo.visual):
            for stream, dim in encoder.streams.items():
                for name, rows in owners.items():
                    values = gathered.values(stream, dim, rows)
                    self._write(todo.source, name, stream, encoder, values, times, seen[name])
                gathered.forget(stream)

    def _write(
        self,
        source: Source,
        person: str,
        stream: str,
        encoder: Encoder | None,
        values: np.ndarray,
        times: np.ndarray,
        valid: np.ndarray | None = None,
        spans: np.ndarray | None = None,
        **told: Any,
    ) -> None:
        """Writes one track; all rows are valid unless said otherwise. `told` is for its header."""
        info = self._wanted.info(source, person, stream, encoder)
        frames = 0 if person == SOUND else len(times)
        valid = np.ones(len(times), bool) if valid is None else valid
        values = values if encoder is None else values.astype(np.float16, copy=False)
        info = replace(info, frames=frames, **told)
        self._store.write(FeatureTrack(values, times, valid, info, spans))


def _done(sound: Future[None]) -> None:
    """Waits for the sound; raises what it met."""
    try:
        sound.result()
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise SoundOutOfMemory from error
        raise
