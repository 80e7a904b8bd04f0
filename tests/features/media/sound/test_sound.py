"""Sound arrives whole and on the clock of the picture."""

from pathlib import Path

import numpy as np
import pytest

from features.encoders.audio.prosody import ProsodyEncoder
from features.media import MediaError, NoVideo, frame_times, probe, read_sound, spool_sound
from features.media.sound import audio as sound_module
from tests.media import (
    click,
    plain_frames,
    tone,
    write_sound,
    write_video,
)
from tests.shared import shared_data


def read_samples(path: Path, rate: int) -> np.ndarray:
    sound = read_sound(path, rate)
    assert sound is not None
    assert sound.rate == rate
    return np.concatenate(list(sound.blocks))


def starts_at(samples: np.ndarray, rate: int) -> float:
    """Seconds of the first loud sample."""
    return float(np.flatnonzero(np.abs(samples) > 0.2)[0]) / rate


@pytest.mark.parametrize("rate", [44_100, 16_000, 8_000])
def test_sound_keeps_its_place_at_any_rate(tmp_path: Path, rate: int) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(50), sound=click(2.0, at=1.0))
    sound = read_sound(path, rate)
    assert sound is not None
    samples = np.concatenate(list(sound.blocks))
    assert samples.dtype == np.float32
    assert sound.offset + starts_at(samples, rate) == pytest.approx(1.0, abs=0.003)
    assert len(samples) / rate == pytest.approx(2.0, abs=0.05)


def test_late_sound_has_its_true_offset(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "v.mp4", plain_frames(50), sound=click(1.5, at=0.5), sound_start=0.5
    )
    sound = read_sound(path, 16_000)
    assert sound is not None
    assert sound.offset == pytest.approx(0.5, abs=0.03)
    start = starts_at(np.concatenate(list(sound.blocks)), 16_000)
    assert sound.offset + start == pytest.approx(1.0, abs=0.003)


def test_sound_that_starts_before_the_picture_has_a_negative_offset(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "v.mp4", plain_frames(20), times=0.5 + np.arange(20) / 25, sound=tone(1.2)
    )
    sound = read_sound(path, 16_000)
    assert sound is not None
    assert sound.offset == pytest.approx(-0.5, abs=0.03)


def test_channels_are_averaged_and_loud_sound_is_not_clipped(tmp_path: Path) -> None:
    left, right = tone(0.5, peak=3.0), tone(0.5, peak=1.0)
    path = write_sound(tmp_path / "s.wav", np.stack([left, right]), 44_100, "pcm_f32le")
    samples = read_samples(path, 44_100)
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-6)
    assert read_samples(path, 16_000).max() > 1.9


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f64le"])
def test_every_sample_format_is_scaled_to_one(tmp_path: Path, codec: str) -> None:
    expected = tone(0.3, peak=0.5)
    samples = read_samples(write_sound(tmp_path / "s.wav", expected, 44_100, codec), 44_100)
    np.testing.assert_allclose(samples, expected, atol=0.01)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("s.wav", "pcm_s16le", 44_100),
        ("s.flac", "flac", 44_100),
        ("s.m4a", "aac", 44_100),
        ("s.mp3", "libmp3lame", 44_100),
        ("s.ogg", "libopus", 48_000),
    ],
)
def test_sound_files_need_no_video(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    path = write_sound(tmp_path / name, click(1.0, at=0.5, rate=rate), rate, codec)
    sound = read_sound(path, 16_000)
    assert sound is not None
    assert sound.offset == 0.0
    samples = np.concatenate(list(sound.blocks))
    assert starts_at(samples, 16_000) == pytest.approx(0.5, abs=0.003)
    with pytest.raises(NoVideo, match=r"s\.\w+: no video in it"):
        probe(path)


def test_video_without_sound_gives_none(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(5))
    assert read_sound(path, 16_000) is None
    assert not probe(path).has_sound


def test_gap_in_the_sound_is_silent_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    write_video(path, plain_frames(50), sound=tone(2.0), sound_gap=(0.5, 1.0))
    sound = read_sound(path, 16_000)
    assert sound is not None
    samples = np.concatenate(list(sound.blocks))
    assert len(samples) / 16_000 == pytest.approx(2.0, abs=0.06)
    assert np.abs(samples[int(0.6 * 16_000) : int(0.9 * 16_000)]).max() < 0.01
    assert np.abs(samples[int(1.1 * 16_000) : int(1.4 * 16_000)]).max() > 0.4


@pytest.mark.parametrize(("gap", "filled"), [(0.03, False), (0.07, True), (0.2, True)])
def test_a_gap_is_silent_if_it_is_longer_than_clocks_stray(
    tmp_path: Path, gap: float, filled: bool
) -> None:
    path = tmp_path / "v.mkv"
    write_video(path, plain_frames(50), sound=click(2.0, at=1.5), sound_gap=(0.5, 0.5 + gap))
    sound = read_sound(path, 44_100)
    assert sound is not None
    samples = np.concatenate(list(sound.blocks))
    place = sound.offset + starts_at(samples, 44_100)
    assert place == pytest.approx(1.5 if filled else 1.5 - gap, abs=0.024)  # a packet


def test_long_sound_comes_in_short_blocks(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "s.wav", tone(20.0, 8_000), 8_000, "pcm_s16le")
    sound = read_sound(path, 16_000)
    assert sound is not None
    lengths = [len(block) for block in sound.blocks]
    assert max(lengths) < 3 * 16_000
    assert sum(lengths) == pytest.approx(20 * 16_000, abs=10)


def test_blocks_join_without_a_seam(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "s.wav", tone(5.0), 44_100, "pcm_f32le")
    samples = read_samples(path, 16_000)
    assert len(samples) == pytest.approx(5 * 16_000, abs=2)
    np.testing.assert_allclose(samples[500:79_500], tone(5.0, 16_000)[500:79_500], atol=1e-3)


# Decoded once ----------------------------------------------------------------------------------


def test_spooled_sound_is_that_of_a_reading_and_can_be_read_again(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(60), sound=tone(3.0), sound_start=0.5)
    with spool_sound(path, [16_000, 44_100, 16_000]) as spooled:
        assert spooled is not None
        for rate in (16_000, 44_100, 16_000):
            plain = read_sound(path, rate)
            assert plain is not None
            assert spooled.offset == plain.offset
            for one, other in zip(spooled.blocks(rate), plain.blocks, strict=True):
                np.testing.assert_array_equal(one, other)
        with pytest.raises(KeyError):
            spooled.blocks(8_000)


def test_spooled_sound_is_decoded_once_for_all_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_sound(tmp_path / "s.wav", tone(1.0), 44_100, "pcm_s16le")
    calls, real = list[int](), sound_module._unbroken
    monkeypatch.setattr(sound_module, "_unbroken", lambda *args: calls.append(1) or real(*args))
    with spool_sound(path, [8_000, 16_000, 24_000]) as spooled:
        assert spooled is not None
        for rate in (8_000, 16_000, 24_000):
            assert sum(map(len, spooled.blocks(rate))) == pytest.approx(rate, abs=2)
    assert len(calls) == 1


def test_decoding_and_prosody_give_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = list[float]()
    monkeypatch.setattr("features.cli.progress._listeners", [lambda: beats.append(1.0)])
    path = write_sound(tmp_path / "s.wav", tone(20.0, 8_000), 8_000, "pcm_s16le")
    with spool_sound(path, [16_000]) as spooled:
        assert len(beats) >= 19
        assert spooled is not None
        beats.clear()
        ProsodyEncoder().encode_sound(spooled.blocks(16_000))
    assert len(beats) >= 9
    beats.clear()
    frame_times(write_video(tmp_path / "v.mp4", plain_frames(5)))
    assert beats


def test_two_readers_of_spooled_sound_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "s.wav", tone(4.0), 44_100, "pcm_s16le")
    with spool_sound(path, [16_000]) as spooled:
        assert spooled is not None
        for one, other in zip(spooled.blocks(16_000), spooled.blocks(16_000), strict=True):
            np.testing.assert_array_equal(one, other)
            one[:] = 0  # a reader may do with its samples what it likes
        assert np.abs(next(iter(spooled.blocks(16_000)))).max() > 0.4


def test_spool_leaves_no_file_and_says_what_is_wrong_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spool"))
    (tmp_path / "spool").mkdir()
    silent = write_video(tmp_path / "v.mp4", plain_frames(5))
    with spool_sound(silent, [16_000]) as spooled:
        assert spooled is None
    cut = write_video(tmp_path / "c.mp4", plain_frames(50), sound=tone(2.0), fast_start=True)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 3 // 4])
    with pytest.raises(MediaError, match="breaks off"), spool_sound(cut, [16_000]):
        pytest.fail("sound that breaks off was given")
    assert list((tmp_path / "spool").iterdir()) == []


def test_real_clip_with_varying_times_and_a_late_first_frame() -> None:
    path = shared_data() / "clips" / "video_retalking_1.mp4"
    info, sound = probe(path), read_sound(path, 16_000)
    assert info.start == pytest.approx(0.033, abs=0.001)
    assert sound is not None
    assert sound.offset == pytest.approx(-0.033, abs=0.001)
    times = frame_times(path)
    assert len(times) == 135
    assert np.diff(times).std() > 1e-3
