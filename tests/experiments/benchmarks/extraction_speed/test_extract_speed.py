"""extract_speed: its arithmetic, its page, and each part on a small video."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.benchmarks.extraction_speed import extract_speed
from experiments.benchmarks.extraction_speed.extract_speed import (
    ExtractSpeedSettings,
    command,
    time_fer,
)
from experiments.benchmarks.extraction_speed.figures import (
    affwild2_hours,
    net_rate,
    speeds_of,
    times_as_fast,
)
from experiments.benchmarks.extraction_speed.parts import BATCHES, PARTS, with_faces
from features.errors import UserError
from features.media import FrameBlock
from tests.media import face_frame, plain_frames, tone, write_video

KIND = "1280x720, 30 fps"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [face_frame(192, 160, [(90 + i, 80)], size=110) for i in range(12)]
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    return write_video(path, frames, fps=10, sound=tone(1.2))


def video(amount: float, processor: float, wall: float | None = None) -> dict[str, float]:
    return {"amount": amount, "processor": processor, "wall": wall or processor}


def part(*videos: dict[str, float]) -> dict[str, Any]:
    return {"videos": {str(number): one for number, one in enumerate(videos)}}


def used(frames: float, seconds: float) -> dict[str, float]:
    return {"frames": frames, "seconds": seconds, "processor": 12.0, "together": 800.0}


def results(rounds: int = 1, **changes: Any) -> dict[str, Any]:
    """Two long videos of 300 frames; decoding 1 s, faces 2 s, encoding 3 s each, sound .5 s."""
    one = {
        "decode, one core": part(video(300, 1.0), video(300, 1.0)),
        "decode, all cores": part(video(300, 1.0, 0.5), video(300, 1.0, 0.5)),
        "detect on every frame": part(video(30, 2.0), video(30, 2.0)),
        "detect at default": part(video(30, 0.2), video(30, 0.2)),
        "crop and encode": part(video(15, 0.15), video(15, 0.15)),
        "sound": part(video(10, 1.0), video(0, 0.0)),
        "all cores at once": {"processes": 2, "processor": [0.44, 0.48]},
        **{f"encode {n}": part(video(100, 1.0)) for n in BATCHES},
        "command, long": used(600, 10.0),
        "command, sample": used(60, 3.0),
        "command, tiny": used(30, 2.5),
        "loop": part(video(30, 9.0, 5.0), video(30, 9.0, 5.0)) | used(60, 15.0),
    }
    one |= changes
    return {f"{n}/{KIND}/{name}": value for n in range(rounds) for name, value in one.items()}


def test_the_bound_is_the_work_over_the_cores_or_the_longest_stage() -> None:
    speeds = speeds_of(KIND, results())
    assert speeds.stages["detect at default"] == pytest.approx([2.0, 2.0])
    assert speeds.stages["crop and encode"] == pytest.approx([3.0, 3.0])
    assert speeds.work == pytest.approx(2 + 4 + 6 + 1)
    assert speeds.bound(2) == pytest.approx(6.5)
    assert speeds.bound(64) == pytest.approx(3.0)  # encoding one video keeps to one core


def test_decoding_does_not_bound_by_itself_since_it_can_be_split() -> None:
    decode = part(video(300, 50.0), video(300, 1.0))
    speeds = speeds_of(KIND, results(**{"decode, one core": decode}))
    assert speeds.longest == pytest.approx(3.0)


def test_starting_does_not_count_in_rates() -> None:
    speeds = speeds_of(KIND, results())
    assert net_rate(used(600, 10.0), used(30, 2.5)) == pytest.approx(76.0)
    assert speeds.net == pytest.approx(76.0)
    assert speeds.share(2) == pytest.approx(76.0 / (600 / 6.5))
    loop = speeds.rivals["loop"]
    assert not isinstance(loop, str)
    assert times_as_fast(speeds, loop) == pytest.approx(60.0 / 6.0)


def test_figures_are_medians_over_the_rounds() -> None:
    found = results(rounds=3)
    found[f"0/{KIND}/command, long"] = used(600, 1000.0)
    found[f"1/{KIND}/decode, one core"] = part(video(300, 90.0), video(300, 1.0))
    speeds = speeds_of(KIND, found)
    assert speeds.command["seconds"] == 10.0
    assert speeds.stages["decode"] == [1.0, 1.0]
    assert speeds.crowd == pytest.approx(1.2)


def test_the_whole_corpus_takes_its_stages_over_the_share_of_the_bound() -> None:
    speeds = speeds_of(KIND, results())
    work = 2_993_081 * 12 / 600 + 29.54 * 3600 * 0.1
    assert affwild2_hours(speeds, 2) == pytest.approx(work / 2 / speeds.share(2) / 3600)


def test_every_part_times_a_video(clip: Path) -> None:
    chosen = [name for name in PARTS if name not in [f"encode {n}" for n in BATCHES[:-1]]]
    for name in chosen:
        timing = PARTS[name]()(clip)
        assert timing.processor > 0, name
        expected = {"sound": pytest.approx(1.2, abs=0.1), "encode 64": 4 * max(BATCHES)}
        assert timing.amount == expected.get(name, 12), name


def test_faces_belong_to_their_pictures(clip: Path) -> None:
    empty = np.stack(plain_frames(3, 160, 192))
    full = np.stack([face_frame(192, 160, [(x, 80)], size=110) for x in (70, 120)])
    blocks = [FrameBlock(empty, np.arange(3.0), 0), FrameBlock(full, np.arange(3.0, 5.0), 3)]
    ((images, landmarks),) = with_faces(blocks)
    np.testing.assert_array_equal(images, full)
    np.testing.assert_allclose(landmarks[:, 2, 0], [70, 120], atol=12)  # the nose
    with pytest.raises(UserError, match="no face"):
        list(with_faces(blocks[:1]))


def test_the_study_measures_each_round_once_and_writes_its_page(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fake = results(fer={"fault": "No module named 'fer'"})

    def contestants(_: ExtractSpeedSettings, media: extract_speed.Media) -> dict[str, Any]:
        assert list(media.long.glob("*.mp4"))
        names = {key.split("/")[2]: value for key, value in fake.items()}
        return {name: lambda n=name: calls.append(n) or names[n] for name in names}  # type: ignore[misc]

    monkeypatch.setattr(extract_speed, "contestants", contestants)
    settings = ExtractSpeedSettings([clip], 2, 2.0, 1.0, work=tmp_path, out=tmp_path / "page.md")
    assert command(settings) == command(settings) == 0
    assert calls == [key.split("/")[2] for key in fake] * 2
    text = settings.out.read_text()
    assert "| 192x160, 10 fps | whole command / loop | 10.00 | at least 10 | yes |" in text
    assert "| 192x160, 10 fps | whole command, times real time | 2.53 | at least 3 | NO |" in text
    assert "fer: did not run (No module named 'fer')" in text
    assert str(tmp_path) not in text


def test_a_rival_that_does_not_run_is_reported_with_its_cause(clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such thing >&2\nexit 1\n")
    broken.chmod(0o755)
    assert time_fer(tmp_path, broken, clip.parent) == {"fault": "no such thing"}


def test_lengths_that_make_no_sense_are_refused(clip: Path, tmp_path: Path) -> None:
    settings = ExtractSpeedSettings([clip], seconds=1.0, sample=2.0, work=tmp_path)
    with pytest.raises(UserError, match="--sample"):
        command(settings)
