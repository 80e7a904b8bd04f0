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
from features.faces.person_track import Person, pack, unpack
from features.faces.precropped import crop_numbers, crop_person, framed, read_crops
from features.faces.tracker import Follower
from features.faces.yunet import face_detector
from features.media import frame_times
from features.pipeline.clip_pass import hear, read_files
from features.pipeline.discovery import Source
from features.pipeline.failures import is_out_of_memory
from features.pipeline.feature_buffer import FeatureBuffer
from features.pipeline.planner import FACES, Plan, Planner, TrackSettings
from features.pipeline.source_hashes import SourceHashes
from features.pipeline.timing import StageTimes
from features.pipeline.video_pass import VideoPass
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
        settings: What tracks depend on.
        encoders: Encoders to run.
        device: Where faces are looked for.

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
        settings: TrackSettings,
        encoders: Sequence[Encoder],
        device: "torch.device | str" = "cpu",
    ) -> None:
        self._store, self._settings, self._faces = store, settings, settings.faces
        self._persons = parse_persons(settings.persons)
        self._detector = face_detector(settings.faces, device)
        self._visual = {e.name: e for e in encoders if isinstance(e, VisualEncoder)}
        self._audio = {e.name: e for e in encoders if isinstance(e, AudioEncoder)}
        self._files = {e.name: e for e in encoders if isinstance(e, TokenEncoder)}
        described = [description_of(encoder) for encoder in encoders]
        self._planner = Planner(store, hashes, settings, described)
        self.times = StageTimes()
        self.most: float | None = None
        self.clock, self.encoders = True, tuple(encoders)

    def plan(self, source: Source) -> Plan:
        """What the source still needs; UserError if its file cannot be read."""
        plan = self._planner.plan(source)
        return plan if self.clock or self._visual else replace(plan, faces=False)

    def work(self, plan: Plan) -> None:
        """Makes what is missing; every track is on disk when it is finished.

        Raises:
            UserError: If the source cannot be read; what could be made of it is.
            SoundOutOfMemory: If all but the sound is made.
        """
        unwanted = Event()
        with ThreadPoolExecutor(1, "sound") as thread:
            sound = thread.submit(unless, unwanted, self._listen, plan)
            try:
                self._see(plan)
                _done(sound)
            except UserError as error:
                heard = sound.exception()
                if isinstance(heard, UserError) and str(heard) != str(error):
                    raise UserError(f"{error}; {heard}") from error
                raise
            except KeyboardInterrupt:
                unwanted.set()  # or leaving would wait for all of the sound
                raise

    def _listen(self, plan: Plan) -> None:
        """Writes the streams of the whole clip."""
        audio = [self._audio[one.name] for one in plan.audio]
        hear(plan.source, audio, self._write, self.times, self.most)
        files = [self._files[one.name] for one in plan.files]
        read_files(plan.source, files, self._write, self.times)

    def halve_block(self) -> bool:
        """Takes half as many frames at once, till `whole_block`; False if it is one already."""
        if self._faces.batch <= 1:
            return False
        self._faces = replace(self._faces, batch=self._faces.batch // 2)
        return True

    def whole_block(self) -> None:
        """Takes as many frames at once as the settings say."""
        self._faces = self._settings.faces

    def _see(self, plan: Plan) -> None:
        """Writes the faces of everybody, `main` last, then the visual streams.

        The faces track of `main` tells that people are known: what a run killed after it still
        lacks takes a second look, which gives the same.
        """
        if not (plan.faces or plan.visual):
            return
        if plan.source.crops:
            self._see_crops(plan)
        elif plan.faces:
            self._look_first(plan)
        else:
            self._look_again(plan)

    def _look_first(self, plan: Plan) -> None:
        """Finds everybody in a video."""
        video, buffer = self._video_pass(plan.source), self._buffer(plan)
        follower = Follower(self._faces)
        times = video.first(self._detector, follower, buffer)
        people = follower.people(self._persons)
        owners = {one.person.name: one.paths.copy() for one in people}
        known = {}
        for spare, one in zip(itertools.count(-2, -1), people, strict=False):  # -1 is nobody
            paths = owners[one.person.name]
            unseen = one.person.valid & ~buffer.has(paths)
            paths[unseen] = spare
            known[spare] = one.person, unseen
        if plan.visual and any(rows.any() for _, rows in known.values()):
            video.second(known, buffer)
        self._write_faces(plan.source, [one.person for one in people], times)
        self._write_seen(plan, times, buffer, owners)

    def _look_again(self, plan: Plan) -> None:
        """Runs encoders on people who are known."""
        tracks = self._known_faces(plan)
        buffer = self._buffer(plan)
        people = [unpack(track.values, track.valid, name) for name, track in tracks.items()]
        known = {owner: (who, who.valid) for owner, who in enumerate(people)}
        self._video_pass(plan.source).second(known, buffer)
        times = next(iter(tracks.values())).times
        owners = {
            name: np.where(track.valid, owner, -1)
            for owner, (name, track) in enumerate(tracks.items())
        }
        self._write_seen(plan, times, buffer, owners)

    def _see_crops(self, plan: Plan) -> None:
        """Runs encoders on ready-made crops."""
        source, buffer = plan.source, self._buffer(plan)
        people, times = self._crop_people(source)
        for owner, person in enumerate(people if plan.visual else []):
            for numbers, crops in read_crops(source.crops[person.name], self._faces.batch):
                inside = numbers <= len(times)
                if not inside.any():
                    break
                rows = (numbers[inside] - 1).tolist()
                with self.times.stage("encode"):
                    buffer.add([owner] * len(rows), rows, framed(crops[inside], self._faces))
                self.times.add("encode", len(rows))
        buffer.flush()
        if plan.faces:
            self._write_faces(source, people, times)
        owners = {who.name: np.full(len(times), owner) for owner, who in enumerate(people)}
        self._write_seen(plan, times, buffer, owners)

    def _buffer(self, plan: Plan) -> FeatureBuffer:
        """Where the features of the encoders that are to run go."""
        return FeatureBuffer([self._visual[one.name] for one in plan.visual], self._faces.batch)

    def _video_pass(self, source: Source) -> VideoPass:
        return VideoPass(
            source.recording(self._settings.reader), self._faces, self.times, self.most
        )

    def _known_faces(self, plan: Plan) -> dict[str, FeatureTrack]:
        """Faces tracks by person."""
        return {
            person: self._store.read(FACES, self._planner.info(plan.source, person, FACES, None).id)
            for person in plan.people
        }

    def _crop_people(self, source: Source) -> tuple[list[Person], np.ndarray]:
        """People of ready-made crops and the times of the frames."""
        numbers = {person: crop_numbers(folders) for person, folders in source.crops.items()}
        if source.video:
            times = frame_times(source.video)
        elif not any(map(len, numbers.values())):
            raise UserError(f"{source.id}: its folders of crops are empty; fill or remove them")
        elif self._settings.crops_fps:
            frames = max(n.max() for n in numbers.values() if len(n))
            times = np.arange(frames) / self._settings.crops_fps
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
        self, plan: Plan, times: np.ndarray, buffer: FeatureBuffer, owners: dict[str, np.ndarray]
    ) -> None:
        """Writes the visual streams of people; rows (F,) whose owner gave nothing are empty."""
        seen = {name: buffer.has(rows) for name, rows in owners.items()}
        for encoder in (self._visual[one.name] for one in plan.visual):
            for stream, dim in encoder.streams.items():
                for name, rows in owners.items():
                    values = buffer.values(stream, dim, rows)
                    self._write(plan.source, name, stream, encoder, values, times, seen[name])
                buffer.forget(stream)

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
        info = self._planner.info(source, person, stream, encoder)
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
