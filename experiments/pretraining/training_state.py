"""What a killed training goes on from: one file, replaced as a whole after every epoch.

Data flow: everything with a `state_dict`, and the epoch > file > put back in place.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from features.errors import UserError


@dataclass(frozen=True)
class TrainingState:
    """The state of one training.

    Attributes:
        path: The file.
        key: Tells the run's settings: another run's state is refused.
        parts: Name to network, optimiser, ...: whatever has `state_dict` and `load_state_dict`.
    """

    path: Path
    key: str
    parts: dict[str, Any]

    def resume(self) -> dict[str, Any]:
        """What `save` was given, with the parts back in their state; epoch 0 without a file.

        Raises:
            UserError: If the file cannot be read or is another run's.
        """
        if not self.path.is_file():
            return {"epoch": 0}
        try:
            state = torch.load(self.path, weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise UserError(
                f"{self.path}: state cannot be read; delete it to start anew"
            ) from error
        if state.get("key") != self.key:
            raise UserError(
                f"{self.path}: state of a run with other settings; delete it to start anew"
            )
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        print(f"going on after epoch {state['epoch']}", flush=True)
        return {name: value for name, value in state.items() if name not in self.parts}

    def save(self, epoch: int, **progress: float) -> None:
        """Writes the state by rename, so that a kill leaves the old one whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.partial")
        states = {name: part.state_dict() for name, part in self.parts.items()}
        torch.save({"key": self.key, "epoch": epoch, **progress, **states}, partial)
        partial.replace(self.path)
