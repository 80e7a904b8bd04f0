"""Plans: figures from the headers, time from a sample, and nothing written."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch

from features.encoders.registry import EncoderSettings, build_encoder
from features.execution import cost_estimate as plan_module
from features.execution import sharding as shards_module
from features.execution.cost_estimate import CostEstimate, estimate_cost
from features.execution.sharding import extent_of
from features.extract import ExtractSettings, SourceSettings, _recipe, command, extract
from features.media import frame_times
from features.pipeline.discovery import Source, find_sources
from features.pipeline.planner import Plan
from features.store.track_store import TrackStore
from tests.media import face_frame, plain_frames, tone, write_sound, write_video
from tests.shared import shared_data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two videos of 3 s with sound, one with a face."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    face = [face_frame(192, 160, [(96, 80)], size=110)] * 30
    write_video(folder / "a.mp4", face, fps=10, sound=tone(3.0))
    write_video(folder / "b.mp4", plain_frames(30), fps=10, sound=tone(3.0))
    return folder


@pytest.fixture(autouse=True)
def short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "SAMPLE_SECONDS", 1.0)


def settings(root: Path, *encoders: str) -> ExtractSettings:
    return ExtractSettings(data=SourceSettings(root=root), encoders=list(encoders), workers="0")


class Clockwork:
    """An extractor that takes a tenth of a second a frame on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.loaded, self.seen, self.most = 0.0, False, list[float](), 0.0
        monkeypatch.setattr(plan_module.time, "perf_counter", lambda: self.now)

    def work(self, todo: Plan) -> None:
        assert todo.source.video is not None
        frames = int((frame_times(todo.source.video) < self.most).sum())
        self.seen.append(frames)
        self.now += 0.1 * frames + (0 if self.loaded else 1000)
        self.loaded = True


def todo_of(source: Source) -> Plan:
    return Plan(source, True, (), ())


def test_a_plan_says_what_extraction_will_write(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[CostEstimate] = []

    def noted(*arguments: Any) -> CostEstimate:
        plans.append(estimate_cost(*arguments))
        return plans[-1]

    monkeypatch.setattr("features.extract.estimate_cost", noted)
    assert command(replace(settings(root, "expression", "prosody"), plan=True)) == 0
    out = capsys.readouterr().out
    assert "2 items below" in out
    assert "frames: 60" in out
    assert "sound: 6 s\n" in out
    assert "here, with no worker processes (by the first 1 s of 2 items)" in out
    assert not list(root.rglob("*.safetensors"))
    store = TrackStore(extract(settings(root, "expression", "prosody")).store)
    tracks = [store.read(stream, name) for stream in store.streams() for name in store.ids(stream)]
    written = sum(t.values.nbytes + t.times.nbytes + t.valid.nbytes for t in tracks)
    assert plans[0].bytes == pytest.approx(written, rel=0.05)


def test_the_time_is_that_of_the_sample_for_all_frames(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clockwork = Clockwork(monkeypatch)
    todos = [todo_of(source) for source in find_sources(root)]
    monkeypatch.setattr(shards_module, "SOUND_COST", 0.0)
    plan = estimate_cost(todos, root / "tracks", lambda folder: clockwork)  # type: ignore[arg-type, return-value]
    assert plan.seconds == pytest.approx(6.0, rel=0.02)  # without the loading
    assert max(clockwork.seen) == 10


@pytest.mark.parametrize(("workers", "seconds"), [(2, 3.0), (8, 3.0)])
def test_workers_share_the_time_but_for_the_longest_item(
    root: Path, monkeypatch: pytest.MonkeyPatch, workers: int, seconds: float
) -> None:
    clockwork = Clockwork(monkeypatch)
    todos = [todo_of(source) for source in find_sources(root)]
    monkeypatch.setattr(shards_module, "SOUND_COST", 0.0)
    plan = estimate_cost(todos, root / "tracks", lambda folder: clockwork, workers)  # type: ignore[arg-type, return-value]
    assert plan.seconds == pytest.approx(seconds, rel=0.02)


def test_a_plan_is_for_the_workers_that_extraction_would_take(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = list[int]()
    monkeypatch.setattr("features.execution.resources.usable_cores", lambda: 6)
    monkeypatch.setattr("features.execution.resources.free_memory", lambda: 1e12)

    def sample(*_: object) -> tuple[float, float, int]:
        threads.append(torch.get_num_threads())
        return 1.0, 1.0, 1

    monkeypatch.setattr(plan_module, "_sample", sample)
    before = torch.get_num_threads()
    command(replace(settings(root, "prosody"), plan=True, workers="auto"))
    assert "here, with 2 worker processes" in capsys.readouterr().out
    assert threads == [1]  # as a worker has
    assert torch.get_num_threads() == before


def test_kinds_of_work_are_measured_each(root: Path) -> None:
    write_sound(root / "c.wav", tone(3.0, 16_000), 16_000, "pcm_s16le")
    made: list[str] = []

    class Noting:
        most: float | None = None

        def work(self, todo: Plan) -> None:
            made.append(todo.source.id)

    prosody = build_encoder("prosody", EncoderSettings())
    a, b, c = find_sources(root)
    todos = [todo_of(a), todo_of(b), Plan(c, False, (), (prosody,))]  # type: ignore[arg-type]
    plan = estimate_cost(todos, root, lambda folder: Noting())  # type: ignore[arg-type, return-value]
    assert set(made) == {"a", "b", "c"}
    assert plan.sampled == 3
    assert (plan.frames, plan.sound) == (60, pytest.approx(9.0, abs=0.2))


def test_without_a_sample_the_time_is_unknown(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (root / f"{name}.mp4").write_text("no video")
    assert command(replace(settings(root, "prosody"), plan=True)) == 0
    assert "time: unknown" in capsys.readouterr().out


def test_when_all_is_ready_there_is_nothing_to_plan(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(settings(root, "prosody"))
    command(replace(settings(root, "prosody"), plan=True))
    assert "frames: 0\n" in capsys.readouterr().out


def test_a_sample_is_the_beginning_of_picture_and_sound(root: Path, tmp_path: Path) -> None:
    (source,) = find_sources(root / "a.mp4")
    recipe = _recipe(settings(root, "expression", "prosody"), tmp_path / "store")
    whole, extractor = recipe("cpu"), recipe("cpu")
    todo = extractor.plan(source)
    extractor.most = 1.0
    extractor.work(todo)
    store = TrackStore(tmp_path / "store")
    part = [store.read(stream, "a") for stream in ("faces", "expression", "prosody")]
    assert [len(track) for track in part] == [10, 10, 50]
    whole.work(todo)
    for track in part:
        rest = store.read(track.info.stream, "a")
        assert len(rest) > 2.9 * len(track)
        near = len(track) - 5  # what comes last may lack a neighbour
        np.testing.assert_allclose(track.values[:near], rest.values[:near], atol=0.5)


def test_sound_files_and_crops_are_sampled_too(tmp_path: Path) -> None:
    write_sound(tmp_path / "c.wav", tone(3.0, 16_000), 16_000, "pcm_s16le")
    for number in range(1, 41):
        path = tmp_path / "cropped_aligned" / "d" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    wanted = settings(tmp_path, "expression", "prosody")
    wanted.data.crops_fps = 25.0
    extractor = _recipe(wanted, tmp_path / "store")("cpu")
    extractor.most = 1.0
    for source in find_sources(tmp_path):
        extractor.work(extractor.plan(source))
    assert extractor.times.amount["encode"] == 25
    assert len(TrackStore(tmp_path / "store").read("prosody", "c")) == 50


ODD = {
    "dv.avi": ("dvvideo", "pcm_s16le", 48_000, (720, 576), "yuv420p"),
    "huffyuv.avi": ("huffyuv", "pcm_s16le", 44_100, (96, 64), "yuv422p"),
    "cinepak.avi": ("cinepak", "adpcm_ima_wav", 44_100, (96, 64), "rgb24"),
    "flash.flv": ("flv1", "adpcm_swf", 22_050, (96, 64), "yuv420p"),
    "quick.mov": ("mpeg4", "pcm_mulaw", 44_100, (96, 64), "yuv420p"),
}
"""Codecs of picture and sound that few containers hold, or that have no encoder beside them."""


def write_odd(path: Path) -> None:
    """Writes 2 s of pictures, 10 a second (DV: 25), and sound."""
    codec, sound, rate, (width, height), pixels = ODD[path.name]
    fps, layout = (25, "stereo") if codec == "dvvideo" else (10, "mono")
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=fps)
        video.width, video.height, video.pix_fmt = width, height, pixels
        audio = container.add_stream(sound, rate=rate)
        audio.layout = layout
        for image in plain_frames(2 * fps, height, width):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image).reformat(format=pixels)))
        container.mux(video.encode())
        kind, block = audio.codec_context.format.name, audio.codec_context.frame_size or 1024
        resampler = av.AudioResampler(kind, layout, rate, frame_size=block)
        frame = av.AudioFrame.from_ndarray(tone(2.0, rate)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for ready in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(audio.encode(ready))
        container.mux(audio.encode())


@pytest.mark.parametrize("name", ODD)
def test_any_codec_that_is_read_can_be_planned(tmp_path: Path, name: str) -> None:
    write_odd(tmp_path / name)
    source = Source("odd", tmp_path / name, {})
    todo = Plan(source, True, (), (build_encoder("prosody", EncoderSettings()),))  # type: ignore[arg-type]
    recipe = _recipe(settings(tmp_path, "prosody"), tmp_path / "store")
    plan = estimate_cost(
        [todo], tmp_path / "store", lambda folder: replace(recipe, store=folder)("cpu")
    )
    assert plan.sampled == 1
    assert plan.frames == pytest.approx(50 if "dv" in name else 20, abs=1)
    assert plan.sound == pytest.approx(2.0, abs=0.1)


def test_a_recording_without_a_length_is_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", plain_frames(50), sound=tone(2.0))
    data = path.read_bytes()
    duration = data.index(b"\x44\x89\x88")  # Matroska's element of 8 bytes for it
    path.write_bytes(data[:duration] + b"\xec\x89" + data[duration + 2 :])  # now a void
    with av.open(str(path)) as container:
        assert not container.duration
    extent = extent_of(Source("v", path, {}))
    assert extent.frames == 50
    assert extent.sound == pytest.approx(2.0, abs=0.05)


def test_frames_that_an_edit_list_hides_are_not_planned() -> None:
    path = shared_data() / "cases" / "trim_start.mp4"
    assert extent_of(Source("v", path, {})).frames == 25
