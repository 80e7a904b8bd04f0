"""Sound in which something is wrong: what is whole is used, what stands in is said."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from features.extract import ExtractSettings, SourceSettings, extract
from features.media import MediaError, read_sound
from features.media.notices import gathered_notices
from features.store.track_store import TrackStore
from tests.media import click, plain_frames, tone, write_sound, write_video

RATE = 44_100


def heard(path: Path) -> tuple[float, np.ndarray, list[str]]:
    """Offset, samples, and what is said."""
    with gathered_notices() as notices:
        sound = read_sound(path, RATE)
        assert sound is not None
        samples = np.concatenate(list(sound.blocks))
    return sound.offset, samples, notices


def damage(path: Path, first: int, count: int) -> None:
    """Overwrites packets of sound, wherever the container has them."""
    data = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [bytes(p)[1:] for p in container.demux(audio=0) if p.size]
    for packet in packets[first : first + count]:  # Matroska may leave out what begins them all
        assert data.count(packet) == 1
        data = data.replace(packet, b"\xff" * len(packet))
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 20), (30, 4), (80, 20)])
def test_damaged_packets_anywhere_leave_the_rest_in_its_place(
    tmp_path: Path, suffix: str, first: int, count: int
) -> None:
    noise = 0.02 * np.random.default_rng(0).normal(size=2 * RATE).astype("f4")
    path = write_video(tmp_path / f"v{suffix}", plain_frames(50), sound=noise + click(2.0, at=1.2))
    before_offset, before, nothing = heard(path)
    damage(path, first, count)
    offset, after, notices = heard(path)
    loudest = [start + np.abs(x).argmax() / RATE for start, x in
               ((before_offset, before), (offset, after))]  # fmt: skip
    assert loudest[1] == pytest.approx(loudest[0], abs=0.006)
    ends = [start + len(x) / RATE for start, x in ((before_offset, before), (offset, after))]
    assert ends[1] == pytest.approx(ends[0], abs=0.03)  # the last is shorter
    assert nothing == []
    assert [line.split("; ")[-1] for line in notices] == ["silence stands in"]
    assert str(path) in notices[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_numbers_are_silent_and_said(tmp_path: Path, bad: float) -> None:
    expected = tone(1.0)
    expected[[1000, 1001, 30_000]] = 0
    damaged = expected.copy()
    damaged[[1000, 1001, 30_000]] = bad
    path = write_sound(tmp_path / "s.wav", damaged, RATE, "pcm_f32le")
    _, samples, notices = heard(path)
    np.testing.assert_array_equal(samples, expected)
    assert notices == [
        f"{path}: 3 samples of its sound, first at 0.02 s, without a number; silence stands in"
    ]


def test_a_number_in_one_channel_is_enough(tmp_path: Path) -> None:
    left, right = tone(0.5), tone(0.5)
    left[100:200] = np.nan
    path = write_sound(tmp_path / "s.wav", np.stack([left, right]), RATE, "pcm_f32le")
    _, samples, notices = heard(path)
    np.testing.assert_allclose(samples, right, atol=1e-6)
    assert notices == []


def test_a_second_without_numbers_is_a_fault(tmp_path: Path) -> None:
    sound = tone(3.0)
    sound[RATE // 2 : 2 * RATE] = np.nan
    path = write_sound(tmp_path / "s.wav", sound, RATE, "pcm_f32le")
    with pytest.raises(MediaError, match=r"s\.wav: the samples .* no numbers from 0\.50 s on"):
        heard(path)


def test_a_sample_that_is_no_number_does_not_stop_extraction(tmp_path: Path) -> None:
    sound = tone(1.0)
    sound[20_000] = np.nan
    path = write_sound(tmp_path / "s.wav", sound, RATE, "pcm_f32le")
    data = SourceSettings(root=tmp_path)
    summary = extract(ExtractSettings(data=data, encoders=["prosody"], workers="0"))
    assert summary.complete
    assert [line.split(":")[0] for line in summary.notices["s"]] == [str(path)]
    values = TrackStore(summary.store).read("prosody", "s").values
    assert np.isfinite(values).all()
    assert len(values) == 50


# Channels --------------------------------------------------------------------------------------


def stereo(path: Path, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, list[str]]:
    _, samples, notices = heard(write_sound(path, np.stack([left, right]), RATE, "pcm_f32le"))
    return samples, notices


@pytest.mark.parametrize("louder", [0.9, 1.0, 1.1])
def test_of_channels_in_opposite_phase_the_louder_one_is_taken(
    tmp_path: Path, louder: float
) -> None:
    left = tone(2.0)
    right = (-louder * left).astype("f4")
    samples, notices = stereo(tmp_path / "s.wav", left, right)
    assert np.abs(samples).max() == pytest.approx(0.5 * max(1.0, louder), abs=1e-3)
    assert len(notices) == 1
    assert "in opposite phase and cancel each other for 2.00 s, first at 0.00 s" in notices[0]


def test_a_part_in_opposite_phase_fades_over_without_a_click(tmp_path: Path) -> None:
    left = tone(4.0)
    right = np.where(np.arange(len(left)) < 2 * RATE, left, -left).astype("f4")
    samples, notices = stereo(tmp_path / "s.wav", left, right)
    np.testing.assert_allclose(samples[: 2 * RATE], left[: 2 * RATE], atol=1e-6)
    np.testing.assert_allclose(np.abs(samples[-RATE // 2 :]), np.abs(left[-RATE // 2 :]), atol=1e-6)
    quiet = np.abs(samples[2 * RATE :]).reshape(-1, 441).max(1) < 0.25
    assert quiet.sum() < 120  # till the new phase outweighs the old
    assert np.abs(np.diff(samples[RATE:])).max() < 1.5 * np.abs(np.diff(left)).max() + 0.01
    assert len(notices) == 1


def test_other_channels_are_averaged_without_a_word(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    left, right = (0.1 * random.normal(size=(2, RATE))).astype("f4")
    quiet = np.zeros_like(left)
    for one, other in ((left, right), (left, quiet), (quiet, quiet), (left, left)):
        samples, notices = stereo(tmp_path / "s.wav", one, other)
        np.testing.assert_allclose(samples, (one + other) / 2, atol=1e-6)
        assert notices == []


def test_a_recording_of_which_nothing_can_be_decoded_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with wave.open(str(tmp_path / "in/empty.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    write_sound(tmp_path / "in/whole.wav", tone(0.5, 16_000), 16_000, "pcm_s16le")
    data = SourceSettings(root=tmp_path / "in", store=tmp_path / "store")
    summary = extract(ExtractSettings(data=data, encoders=["prosody"], workers="0"))
    assert list(summary.failures) == ["empty"]
    assert "neither pictures nor sound can be decoded" in summary.failures["empty"]
    assert TrackStore(tmp_path / "store").ids("prosody") == ["whole"]
