"""Odd but sound files: every frame, in its time and colours; sound at its place and length."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from features.media import frame_times, probe, read_frames, read_sound
from tests.media import brightness_index, plain_frames, set_rotation, tone, trim, write_video
from tests.odd_media import RATE, Odd, write_odd

HEIGHT, WIDTH, COUNT = 64, 96, 12
TONE = tone(COUNT / 25, RATE)


def pictures() -> list[np.ndarray]:
    """Left half red, right half blue, above a strip that grows brighter from frame to frame."""
    images = []
    for number in range(COUNT):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[:, : WIDTH // 2, 0] = image[:, WIDTH // 2 :, 2] = 200
        image[-16:] = 20 + 15 * number
        images.append(image)
    return images


def write(path: Path, odd: Odd) -> Path:
    path = path / f"odd{odd.suffix}"
    write_odd(path, pictures(), TONE, odd)
    return path


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(read_frames(path, 5))
    return np.concatenate([b.images for b in blocks]), np.concatenate([b.times for b in blocks])


def strips(images: np.ndarray) -> list[int]:
    """Which frame each picture is, by its strip."""
    return [round((float(image[-12:-4, 4:-4].mean()) - 20) / 15) for image in images]


COLOURED = {
    "yuv444p": Odd(pixels="yuv444p"),
    "rgb": Odd(codec="libx264rgb", pixels="rgb24"),
    "alpha": Odd(".mkv", "ffv1", "yuva420p"),
    "10-bit": Odd(pixels="yuv420p10le"),
    "interlaced": Odd(options={"flags": "+ildct+ilme"}),
    "MPEG-4 in AVI": Odd(".avi", "mpeg4", sounds=()),
    "MPEG-2": Odd(".mpg", "mpeg2video", sounds=()),
    "VP9": Odd(".webm", "libvpx-vp9", sounds=()),
}


@pytest.mark.parametrize("kind", COLOURED)
def test_pictures_of_any_format_keep_number_time_and_colour(tmp_path: Path, kind: str) -> None:
    images, times = read(write(tmp_path, COLOURED[kind]))
    assert images.shape == (COUNT, HEIGHT, WIDTH, 3)
    assert strips(images) == list(range(COUNT))
    np.testing.assert_allclose(times, np.arange(COUNT) / 25, atol=1.1e-3)
    left, right = images[:, 4:40, 4:40], images[:, 4:40, -40:-4]
    for part, colour in ((left, (200, 0, 0)), (right, (0, 0, 200))):
        np.testing.assert_allclose(part.mean(axis=(0, 1, 2)), colour, atol=12)


@pytest.mark.parametrize("odd", [Odd(pixels="gray"), Odd(".mov", "png", "pal8")])
def test_grey_pictures_become_rgb(tmp_path: Path, odd: Odd) -> None:
    images, _ = read(write(tmp_path, odd))
    assert images.shape == (COUNT, HEIGHT, WIDTH, 3)
    assert (np.diff(images[:, -12:-4].mean(axis=(1, 2, 3))) > 10).all()
    assert np.ptp(images, axis=-1).max() == 0


@pytest.mark.parametrize("fps", [1, 240])
def test_very_low_and_high_rates(tmp_path: Path, fps: int) -> None:
    path = write(tmp_path, Odd(fps=fps))
    images, times = read(path)
    assert strips(images) == list(range(COUNT))
    np.testing.assert_allclose(times, np.arange(COUNT) / fps, atol=1e-4)
    assert probe(path).rate == pytest.approx(fps, rel=1e-3)


def test_times_out_of_order_are_shown_in_their_order(tmp_path: Path) -> None:
    order = [0.0, 0.3, 0.1, 0.2, 0.4, 0.7, 0.5, 0.6, 0.8, 1.1, 0.9, 1.0]
    # FFV1 decodes in the order of the file, whatever the times are: no frame may get lost.
    path = write(tmp_path, Odd(".mkv", "ffv1", times=tuple(order)))
    images, times = read(path)
    assert len(images) == COUNT
    assert (np.diff(times) > 0).all()
    np.testing.assert_array_equal(times, frame_times(path))


@pytest.mark.parametrize(
    "odd",
    [
        Odd(".mkv", "mjpeg", "yuvj420p", smaller=True),
        Odd(".webm", "libvpx", smaller=True, sounds=()),
    ],
)
def test_frames_of_another_size_are_scaled_to_the_first(tmp_path: Path, odd: Odd) -> None:
    images, _ = read(write(tmp_path, odd))
    assert images.shape == (COUNT, HEIGHT, WIDTH, 3)
    assert strips(images) == list(range(COUNT))
    before, after = images[COUNT // 2 - 1].astype(int), images[COUNT // 2].astype(int)
    assert np.abs(before[:40] - after[:40]).mean() < 8


def test_rotated_pictures_stand_upright_whatever_their_format(tmp_path: Path) -> None:
    path = write(tmp_path, Odd(pixels="yuv420p10le"))
    set_rotation(path, 90)
    images, _ = read(path)
    assert images.shape == (COUNT, WIDTH, HEIGHT, 3)
    assert images[0, 4:40, -20:-4, 0].mean() > 180  # red was left, and is above now


@pytest.mark.parametrize(("seconds", "expected"), [(2.0, 2.0), (0.2, 0.2)])
def test_sound_longer_or_shorter_than_the_picture(
    tmp_path: Path, seconds: float, expected: float
) -> None:
    path = write(tmp_path, Odd(seconds=seconds))
    images, _ = read(path)
    assert len(images) == COUNT
    offset, samples = hear(path)
    assert offset == pytest.approx(0.0, abs=0.03)
    assert len(samples) / 16_000 == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("odd", "peak"),
    [
        (Odd(sounds=(6,)), 0.5),
        (Odd(sounds=(2,), gain=0.5), 0.25),
        (Odd(rate=8_000), 0.5),
        (Odd(gain=0.0), 0.0),
    ],
)
def test_sound_of_any_layout_and_rate(tmp_path: Path, odd: Odd, peak: float) -> None:
    offset, samples = hear(write(tmp_path, odd))
    assert offset == pytest.approx(0.0, abs=0.03)
    assert len(samples) / 16_000 == pytest.approx(COUNT / 25, abs=0.13)  # a packet has 1024
    assert np.abs(samples[3000:5000]).max() == pytest.approx(peak, abs=0.1)


@pytest.mark.parametrize(("marked", "heard"), [(0, 1), (1, 2), (None, 1)])
def test_default_sound_track_is_heard_or_else_the_first(
    tmp_path: Path, marked: int | None, heard: int
) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=8_000, layout="mono") for _ in range(2)]
        for number, stream in enumerate(streams):
            stream.disposition = Disposition.default if number == marked else Disposition(0)
        container.start_encoding()
        for number, stream in enumerate(streams, 1):
            frame = av.AudioFrame.from_ndarray(
                np.full((1, 800), 8192 * number, "i2"), "s16", "mono"
            )
            frame.sample_rate = 8_000
            container.mux(stream.encode(frame))
    sound = read_sound(path, 8_000)
    assert sound is not None
    np.testing.assert_allclose(np.concatenate(list(sound.blocks)), 0.25 * heard)


def hear(path: Path) -> tuple[float, np.ndarray]:
    sound = read_sound(path, 16_000)
    assert sound is not None
    return sound.offset, np.concatenate(list(sound.blocks))


@pytest.mark.parametrize(("first", "last"), [(0.0, 1.0), (1.0, 2.0), (0.48, 1.48)])
def test_what_an_edit_list_trims_off_is_neither_shown_nor_missed(
    tmp_path: Path, first: float, last: float
) -> None:
    sound = np.concatenate([tone(1.0), tone(1.0, hertz=880)])
    path = write_video(tmp_path / "v.mp4", plain_frames(50), options={"g": "10"}, sound=sound)
    trim(path, first, last - first)
    blocks = list(read_frames(path))
    seen = [brightness_index(image) for block in blocks for image in block.images]
    assert seen == list(range(round(25 * first), round(25 * last)))
    times = np.concatenate([block.times for block in blocks])
    np.testing.assert_allclose(times, np.arange(25) / 25, atol=1e-4)
    np.testing.assert_array_equal(frame_times(path), times)
    offset, samples = hear(path)
    assert offset == pytest.approx(0.0, abs=0.03)
    assert len(samples) / 16_000 == pytest.approx(1.0, abs=0.05)
    spectrum = np.abs(np.fft.rfft(samples[1000:5000]))
    assert spectrum.argmax() * 4 == pytest.approx(440 if first < 1 else 880, abs=8)


@pytest.mark.parametrize(
    ("codec", "rate"), [("pcm_s16le", 44_100), ("pcm_mulaw", 8_000), ("pcm_alaw", 8_000)]
)
def test_sound_of_which_the_header_counts_samples_is_whole(
    tmp_path: Path, codec: str, rate: int
) -> None:
    sound = tone(2.0, rate)
    path = write_video(
        tmp_path / "v.mov", plain_frames(50), sound=sound, sound_rate=rate, sound_codec=codec
    )
    offset, samples = hear(path)
    assert offset == 0
    assert len(samples) / 16_000 == pytest.approx(2.0, abs=0.001)
