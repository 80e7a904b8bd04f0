"""Models that come with the package; each folder has a card, README.md."""

from pathlib import Path

PACKAGED = Path(__file__).parent / "base/best.ckpt"
"""What predicts where no checkpoint is named."""
BESIDE = ("speech",)
"""Encoders whose readings are told beside it, though it does not look at them."""
DRAWS = 8
"""Of its dropout, for uncertainties."""
