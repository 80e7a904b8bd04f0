"""eGeMAPS: 88 statistics of how a voice sounds (Eyben et al. 2016), computed by openSMILE.

Data flow: blocks > Spool > stretches of a minute > openSMILE: low-level descriptors every 10 ms >
functionals (means, percentiles, slopes ...) over a sliding window > tokens, 10 a second.

openSMILE applies the functionals of its own eGeMAPSv02 configuration to a window that slides over
the descriptors of a whole stretch; the descriptors are computed once, not once a window. Stretches
overlap by more than the descriptors' smoothing reaches, so cutting does not change the values; but
those of jitter and shimmer, for which openSMILE remembers the periods of all voice before, do vary.

Letters: N samples, T tokens, D = 88 functionals.
"""

import importlib.metadata
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from features.cli.scratch import telling_the_folder
from features.encoders.audio.chunking import Piece, TokenGrid, joined_on_disk, plan
from features.encoders.base import READY, BaseEncoder, Description, Status, Tokens
from features.errors import UserError
from features.media.sound.audio_cache import Spool, spooled
from features.store.temp_folders import scratch_folder

RATE, STEP = 16000, 160
"""Sampling rate in Hz; samples from one descriptor to the next."""
STRETCH, CONTEXT = 60.0, 1.0
"""Seconds that openSMILE hears at once, and by which stretches reach into each other at least."""
LOOKAHEAD = 1600
"""Samples after a token's window that openSMILE wants: its longest descriptor hears 60 ms."""
FUNCTIONALS = 88
"""Length of a token."""
_REMEDY = "pip install 'affuse[egemaps]'"


@dataclass(frozen=True)
class EgemapsSettings:
    """Settings of the egemaps encoder.

    Args:
        window: Length of the sliding window in seconds, a multiple of 0.01; sound that is shorter
            has no token.
        hop: Time from one token to the next in seconds, a multiple of 0.01.
        stream: Name of the stream.
    """

    window: float = 1.0
    hop: float = 0.1
    stream: str = "egemaps"


class EgemapsEncoder(BaseEncoder):
    """An `AudioEncoder` on the processor; token j is centred at hop * j + window / 2 seconds.

    The columns have openSMILE's names, in its order.
    """

    name = "egemaps"
    settings_type = EgemapsSettings

    def _open(self, settings: EgemapsSettings) -> None:
        self._grid, self._stream = _grid(settings), settings.stream
        self.columns = {settings.stream: tuple(_smile().feature_names)}

    @classmethod
    def describe(cls, settings: EgemapsSettings, margin: float = 0.0) -> Description:
        """What it would be; UserError if opensmile is absent or the settings make no sense."""
        grid = _grid(settings)
        if cls.status(settings) != READY:
            raise UserError(f"egemaps needs opensmile: {_REMEDY}")
        return Description(
            name=cls.name,
            input=f"sound {RATE} Hz",
            revision=f"eGeMAPSv02-opensmile-{importlib.metadata.version('opensmile')}",
            settings={"window": settings.window, "hop": settings.hop},
            streams={settings.stream: FUNCTIONALS},
            licence="audEERING Research License Agreement (openSMILE): no commercial use",
            trained_on="nothing",
            rate=RATE,
            token_rate=RATE / grid.hop,
        )

    @classmethod
    def status(cls, settings: EgemapsSettings) -> Status:
        """Whether opensmile is installed."""
        installed = importlib.util.find_spec("opensmile") is not None
        return READY if installed else Status("needs extra", _REMEDY)

    def encode_sound(self, blocks: Iterable[np.ndarray], dtype: DTypeLike = np.float32) -> Tokens:
        """Encodes consecutive blocks (N,) of mono sound; see `AudioEncoder`."""
        with spooled(blocks) as sound, scratch_folder("egemaps") as folder:
            total = self._grid.count(len(sound))
            smile = _smile(frameModeFunctionalsConf=str(self._write_window(folder)))
            length = 1 + round(STRETCH * self.token_rate)
            overlap = min(length - 1, 1 + round(2 * CONTEXT * self.token_rate))
            pieces = plan(total, length, overlap)
            parts = (self._encode(smile, sound, piece)[piece.kept_here] for piece in pieces)
            values = joined_on_disk(parts, FUNCTIONALS, dtype)
        return Tokens({self._stream: values}, self._grid.centres(total))

    def _write_window(self, folder: Path) -> Path:
        """The part of openSMILE's configuration that says what functionals are taken over."""
        path = folder / "window.conf.inc"
        with telling_the_folder():
            path.write_text(
                f"frameMode = fixed\nframeSize = {self._grid.field / RATE}\n"
                f"frameStep = {self._grid.hop / RATE}\nframeCenterSpecial = left\n"
            )
        return path

    def _encode(self, smile: Any, sound: Spool, piece: Piece) -> np.ndarray:
        """Functionals of the tokens of one piece, (T, D); silence follows the end of the sound."""
        start, stop = self._grid.samples_of(piece.start, piece.stop)
        samples = sound.read(start, stop + LOOKAHEAD)
        samples = np.pad(samples, (0, stop + LOOKAHEAD - start - len(samples)))
        functionals: np.ndarray = smile(samples, RATE)[0].T
        return functionals[: piece.stop - piece.start]


def _smile(**options: str) -> Any:
    import opensmile

    return opensmile.Smile(
        opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals, options=options
    )


def _grid(settings: EgemapsSettings) -> TokenGrid:
    """Hop and window in samples; UserError if they make no sense."""
    steps = {name: getattr(settings, name) * RATE / STEP for name in ("hop", "window")}
    for name, count in steps.items():
        if not (count > 0.5 and abs(count - round(count)) < 1e-6):
            raise UserError(
                f"--egemaps.{name} {getattr(settings, name)} must be a multiple of 0.01 s above 0"
            )
    if settings.window < 0.1:
        raise UserError(f"--egemaps.window {settings.window} must be at least 0.1 s")
    return TokenGrid(round(steps["hop"]) * STEP, round(steps["window"]) * STEP, RATE)
