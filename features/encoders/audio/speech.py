"""Speech activity: how likely somebody speaks, by Silero's detector.

Data flow: blocks > frames of 32 ms with 4 ms before them > SpeechNet, which remembers > one
probability a frame, 31.25 a second.

The weights lie in the wheel of `silero-vad` (MIT). Frames are worked on in batches that begin at
fixed frames and hand on what the network remembers, so it does not matter how the sound is cut into
blocks. experiments/results/voice.md holds it against voicing.

Letters: B frames of a batch, T tokens.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from features.cli.progress import beat
from features.encoders.audio.chunking import TokenGrid
from features.encoders.base import (
    READY,
    BaseEncoder,
    Description,
    Status,
    Tokens,
    inference,
    revision_of,
)

RATE, HOP, PAST = 16000, 512, 64
"""Sampling rate in Hz; samples of a frame; samples before it that are heard with it."""
BATCH = 512
"""Frames worked on together: 16 s."""
_REMEDY = "pip install 'silero-vad>=6.2.3'"
_FILE = "data/silero_vad_16k.safetensors"


@dataclass(frozen=True)
class SpeechSettings:
    """Settings of the speech encoder.

    Args:
        stream: Name of the stream.
    """

    stream: str = "speech"


class SpeechEncoder(BaseEncoder):
    """An `AudioEncoder`; token j is centred at (512 j + 256) / 16000 s, N samples give N // 512.

    The one column, `speech`, is a probability from 0 to 1. The network hears what has been, so the
    first one or two frames of speech come out lower.
    """

    name = "speech"
    settings_type = SpeechSettings

    def _open(self, settings: SpeechSettings) -> None:
        from features.encoders.audio.speech_net import SpeechNet
        from features.encoders.weights_io import load_weights

        self._stream, self._grid = settings.stream, TokenGrid(HOP, HOP, RATE)
        self._net = SpeechNet().eval()
        load_weights(self._net, _weights(), _REMEDY)
        self._net.to(self._device)

    @classmethod
    def describe(cls, settings: SpeechSettings, margin: float = 0.0) -> Description:
        """What it would be; UserError if silero-vad is absent."""
        return Description(
            name=cls.name,
            input=f"sound {RATE} Hz",
            revision=revision_of(_weights(), _REMEDY),
            settings={},
            streams={settings.stream: 1},
            licence="MIT",
            trained_on="speech, music and noise collected by Silero; which is not published",
            rate=RATE,
            token_rate=RATE / HOP,
            columns={settings.stream: ("speech",)},
        )

    @classmethod
    def status(cls, settings: SpeechSettings) -> Status:
        """Whether the weights are there."""
        return READY if _weights().is_file() else Status("needs weights", _REMEDY)

    @inference
    def encode_sound(self, blocks: Iterable[np.ndarray], dtype: DTypeLike = np.float32) -> Tokens:
        """Encodes consecutive blocks (N,) of mono sound; see `AudioEncoder`."""
        import torch

        state, parts = None, [np.zeros(0, np.float32)]
        for frames in _batches(blocks):
            speech, state = self._net(torch.from_numpy(frames).to(self._device), state)
            parts.append(speech.cpu().numpy())
        values = np.concatenate(parts).astype(dtype)[:, None]
        return Tokens({self._stream: values}, self._grid.centres(len(values)))


def _weights() -> Path:
    """Where the weights are, or would be; the package is found and not imported."""
    spec = find_spec("silero_vad")
    return Path(spec.origin).parent / _FILE if spec and spec.origin else Path("silero_vad", _FILE)


def _batches(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Consecutive frames with what came before each, (B, PAST + HOP) float32, `BATCH` at most."""
    waiting = np.zeros(PAST, np.float32)
    for block in blocks:
        waiting = np.concatenate([waiting, block], dtype=np.float32)
        while len(waiting) >= PAST + BATCH * HOP:
            yield _frames(waiting, BATCH)
            waiting = waiting[BATCH * HOP :]
    if left := (len(waiting) - PAST) // HOP:
        yield _frames(waiting, left)


def _frames(sound: np.ndarray, count: int) -> np.ndarray:
    beat()
    windows = np.lib.stride_tricks.sliding_window_view(sound, PAST + HOP)[::HOP]
    return windows[:count].copy()
