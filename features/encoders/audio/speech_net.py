"""Silero's voice activity detector as a network that hears many frames at once.

Data flow: frames with a little of the past > short-time spectrum > four convolutions > LSTM over
the frames > probability of speech.

The package's own model is called frame by frame, loads TorchScript, and sets the number of torch's
threads when it is imported; so its weights are read and its code is not. A test holds the two
against each other.

Letters: B frames, N samples of a frame.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

HOP = 512
"""Samples of a frame."""
PAST = 64
"""Samples before a frame that are heard with it."""
BINS, STEP = 129, 128
"""Frequencies of the spectrum, of windows of 256 samples, and samples from one to the next."""
WIDTH = 128

State = tuple[Tensor, Tensor]
"""What the LSTM remembers, (1, WIDTH) each."""


class SpeechNet(nn.Module):
    """Names and sizes of the weights are those of the package's file."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * BINS, 256, stride=STEP, bias=False)
        self.conv1 = nn.Conv1d(BINS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH // 2, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(WIDTH // 2, WIDTH // 2, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(WIDTH // 2, WIDTH, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(WIDTH, WIDTH)
        self.final_conv = nn.Conv1d(WIDTH, 1, 1)

    def forward(self, frames: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Probabilities (B,) of consecutive frames (B, PAST + HOP), and what is remembered."""
        x = functional.pad(frames, (0, PAST), mode="reflect")[:, None]
        real, imaginary = self.stft_conv(x).split(BINS, dim=1)
        x = (real**2 + imaginary**2).sqrt()
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = convolution(x).relu()
        heard = []
        for step in x.transpose(1, 2):  # (1, WIDTH): one column a frame is left
            state = self.lstm_cell(step, state)
            heard.append(state[0])
        assert state is not None
        return self.final_conv(torch.cat(heard)[..., None].relu()).sigmoid().flatten(), state
