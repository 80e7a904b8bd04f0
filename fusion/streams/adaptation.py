"""How streams are adapted to a person or a clip, as settings and checkpoints have it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["none", "person", "causal"]


@dataclass(frozen=True)
class Adaptation:
    """How streams are adapted; kept in checkpoints, so that prediction does as training did.

    Attributes:
        kind: `none`, `person` or `causal`.
        prior: Frames of the corpus's mean and deviation that `causal` counts as seen before the
            first, at least 1.
    """

    kind: Kind = "none"
    prior: int = 100

    def lines(self, what: str) -> list[str]:
        """What is to be said of results on `what` (test, say): one line, or none."""
        used = {
            "person": "person statistics of",
            "causal": "running statistics, up to each frame, of",
        }
        if self.kind not in used:
            return []
        return [f"transductive: {used[self.kind]} unlabelled {what} frames"]


NO_ADAPTATION = Adaptation()
