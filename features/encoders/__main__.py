"""`python -m features.encoders`: which encoders there are, which run here, and what one gives.

Data flow: registry > each class's `status` > table; or one name > encoder > picture or sound >
streams > figures.

    python -m features.encoders                                          # the table
    python -m features.encoders --check expression --file face.png
    python -m features.encoders --check wav2vec2 --wav2vec2.model DIR --file speech.wav
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import numpy as np

from features.cli.app import OK, run
from features.encoders.base import READY, AudioEncoder, Encoder, Status, TokenEncoder, VisualEncoder
from features.encoders.registry import (
    ENCODERS,
    EncoderSettings,
    build_encoder,
    encoder_class,
)
from features.errors import UsageError, UserError
from features.faces.precropped import SIZE, as_crop
from features.media import MediaError, read_sound
from features.media.pictures.images import read_picture

FACES = 16
"""Synthetic crops that a visual encoder is checked on where no picture is given."""
SECONDS = 2.0
"""Length of the synthetic sound that an audio encoder is checked on where none is given."""
TIMED = 1.0
"""Seconds for which an encoder is run again and again to find its speed."""


@dataclass
class EncodersSettings(EncoderSettings):
    """Settings of the table and the check.

    Args:
        check: Name of an encoder to build and run. None: prints the table.
        file: What the encoder is run on: a picture, taken as an aligned face crop and scaled to
            112 x 112 whatever its shape, or a sound or video file of any sampling rate. None:
            synthetic crops or sound, the same every time.
    """

    check: str | None = None
    file: Path | None = None


def command(settings: EncodersSettings) -> int:
    """Prints the table, or the check of one encoder."""
    if settings.check is None:
        if settings.file is not None:
            raise UsageError("--file needs an encoder to run on it; name one by --check NAME")
        print_status(settings)
    else:
        check(settings.check, settings, settings.file)
    return OK


def print_status(settings: EncoderSettings) -> None:
    """Prints a line for each encoder, and below what each that is not ready needs.

    Those that are ready are loaded, and so tell what they are; of the others it is not known.
    """
    rows = [["name", "status", "input", "rate", "streams", "revision", "licence"]]
    remedies = []
    for name in ENCODERS:
        status = encoder_class(name).status(settings.of(name))
        facts = ["-"] * 5
        if status == READY:
            try:
                facts = _facts(build_encoder(name, settings))
            except UserError as error:
                status = Status("broken", str(error))
        rows.append([name, status.word, *facts])
        if status != READY:
            remedies.append(f"{name}: {status.remedy}")
    print_table(rows)
    print("", *remedies, sep="\n")


def _facts(encoder: Encoder) -> list[str]:
    """Cells of the table that only a loaded encoder can fill."""
    rate = "per face" if isinstance(encoder, VisualEncoder) else "per token"
    if isinstance(encoder, AudioEncoder):
        rate = f"{encoder.token_rate:g} Hz"
    streams = " ".join(f"{name}:{dim}" for name, dim in encoder.streams.items())
    return [encoder.input, rate, streams, encoder.revision[:12], encoder.licence]


def print_table(rows: list[list[str]]) -> None:
    """Prints rows of equal length with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def check(name: str, settings: EncoderSettings, file: Path | None = None) -> None:
    """Builds one encoder, runs it and prints what it is and what it gives.

    Raises:
        UserError: For an unknown name, a file that the encoder cannot take, weights that cannot be
            had, or values that are not finite.
    """
    encoder = build_encoder(name, settings)
    if isinstance(encoder, VisualEncoder):
        crops = synthetic_crops() if file is None else _crop_of(file, encoder)
        streams, speed = timed(lambda: encoder.encode_faces(crops), len(crops))
        unit = f"pictures a second, {len(crops)} at a time"
    elif isinstance(encoder, TokenEncoder):
        if file is None:
            raise UsageError(f"'{name}' takes {encoder.input}; give one by --file")
        tokens = encoder.encode_file(file)
        streams, speed = timed(lambda: encoder.encode_file(file).values, len(tokens.times))
        unit = f"tokens a second, {len(tokens.times)} in the file"
    else:
        sound = _sound_of(file, encoder)
        seconds = sum(map(len, sound())) / encoder.rate
        streams, speed = timed(lambda: encoder.encode_sound(sound()).values, seconds)
        unit = f"seconds of sound a second, for {seconds:.2f} s"
    _print_check(encoder, streams, f"{speed:.3g} {unit}")


def synthetic_crops() -> np.ndarray:
    """Coloured noise that looks like nobody, (16, 112, 112, 3) uint8; the same every time."""
    noise = np.random.default_rng(0).integers(0, 256, (FACES, SIZE, SIZE, 3))
    return noise.astype(np.uint8)


def synthetic_sound(rate: int) -> np.ndarray:
    """A gliding tone in noise, (2 s,) float32; the same every time."""
    times = np.arange(round(SECONDS * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.01, len(times))
    tone = 0.3 * np.sin(2 * np.pi * (120 + 40 * times) * times)
    return (tone + noise).astype(np.float32)


def _crop_of(file: Path, encoder: VisualEncoder) -> np.ndarray:
    """The picture as one crop (1, 112, 112, 3) uint8."""
    try:
        return as_crop(read_picture(file))[None]
    except UserError as error:
        raise UserError(f"{error}; '{encoder.name}' takes {encoder.input}") from error


def _sound_of(file: Path | None, encoder: AudioEncoder) -> Callable[[], Iterator[np.ndarray]]:
    """Gives blocks of sound at the encoder's rate, from the start at each call."""
    if file is None:
        samples = synthetic_sound(encoder.rate)
        return lambda: iter([samples])
    takes = f"'{encoder.name}' takes {encoder.input}"

    def read() -> Iterator[np.ndarray]:
        try:
            sound = read_sound(file, encoder.rate)
        except MediaError as error:
            raise UserError(f"{error}; {takes}") from error
        if sound is None:
            raise UserError(f"{file}: no sound in it; give a sound or video file; {takes}")
        return sound.blocks

    return read


def timed(
    encode: Callable[[], dict[str, np.ndarray]], amount: float
) -> tuple[dict[str, np.ndarray], float]:
    """Streams of one run, and the amount per second by the median run of about a second of runs.

    The first run also warms up; its time counts only if there is time for no other.
    """
    times: list[float] = []
    while sum(times) < TIMED:
        start = perf_counter()
        streams = encode()
        times.append(perf_counter() - start)
    return streams, amount / float(np.median(times[1:] or times))


def _print_check(encoder: Encoder, streams: dict[str, np.ndarray], speed: str) -> None:
    facts = ("name", "input", "revision", "licence", "trained_on")
    lines = [[fact.replace("_", " "), str(getattr(encoder, fact))] for fact in facts]
    print_table([*lines, ["speed", speed]])
    print()
    rows = [["stream", "shape", "mean", "std", "sha256 of float16"]]
    print_table(rows + [_stream_row(name, values) for name, values in streams.items()])
    print(
        "Checksums agree only between runs on one machine; means and deviations, nearly anywhere."
    )


def _stream_row(name: str, values: np.ndarray) -> list[str]:
    if not np.isfinite(values).all():
        raise UserError(f"stream '{name}' holds values that are not finite; get the weights again")
    shape = " x ".join(map(str, values.shape))
    if not values.size:
        return [name, shape, "-", "-", "-"]
    mean, std = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    return [name, shape, f"{mean:.4f}", f"{std:.4f}", checksum(values)]


def checksum(values: np.ndarray) -> str:
    """First 16 hex digits of the sha256 of values rounded to float16; -0 counts as 0."""
    with np.errstate(over="ignore"):  # beyond 65504 is infinity, which is as good a byte as any
        rounded = values.astype("<f2") + np.float16(0)
    return sha256(rounded.tobytes()).hexdigest()[:16]


main = partial(run, EncodersSettings, command, prog="features.encoders", description=__doc__ or "")

if __name__ == "__main__":
    main()
