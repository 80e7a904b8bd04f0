"""Checkpoints of transformers: hub name or folder > files on this disk > frozen float32 model.

Nothing is unpickled: weights are safetensors, or torch files read with `weights_only=True`
(transformers' default). No code of a checkpoint is run.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers  # imports each of its parts at first use, which takes seconds
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from safetensors import SafetensorError
from torch import nn
from transformers.utils import logging

from features.cli import UserError
from features.hashing import weights_hash

_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    SafetensorError,
    pickle.UnpicklingError,
)
"""What transformers raises for broken or foreign files."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files are on this disk.

    Attributes:
        model: As the user gave it: a hub name or a folder.
        folder: Where the files are.
        weights: Files of the weights.
        option: The option that names the model, for messages.
    """

    model: str
    folder: Path
    weights: tuple[Path, ...]
    option: str

    @classmethod
    def find(cls, model: str, option: str) -> "Checkpoint":
        """Finds a folder, or a hub model (downloaded at first use, then kept in the hub's cache).

        Raises:
            UserError: If there is no such folder, the hub cannot be reached, or it has no weights.
        """
        folder = Path(model).expanduser()
        if not folder.is_dir():
            folder = _fetch(model, option)
        for pattern in ("model*.safetensors", "pytorch_model*.bin"):
            if weights := tuple(sorted(folder.glob(pattern))):
                return cls(model, folder, weights, option)
        raise UserError(
            f"{folder} holds no model.safetensors or pytorch_model.bin;"
            f" give a transformers checkpoint by {option} DIR"
        )

    @property
    def revision(self) -> str:
        """Hash of the weights."""
        return weights_hash(*self.weights)

    def config(self) -> Any:
        """The model's configuration; raises UserError if it cannot be read."""
        return self._read(transformers.AutoConfig, "configuration")

    def preprocessor(self) -> Any:
        """The feature extractor's configuration; raises UserError if it cannot be read."""
        return self._read(transformers.AutoFeatureExtractor, "preprocessor configuration")

    def load(self, model_class: Any, may_lack: tuple[str, ...] = (), **options: Any) -> nn.Module:
        """The model with its weights, frozen, float32, in evaluation mode.

        Args:
            model_class: Class of transformers with `from_pretrained`.
            may_lack: Weights that are not used and so may be missing from the file.
            **options: Further arguments of `from_pretrained`.

        Raises:
            UserError: If the weights cannot be read or would leave part of the model untrained.
        """
        logging.disable_progress_bar()
        logging.set_verbosity_error()
        try:
            model, report = model_class.from_pretrained(
                self.folder,
                dtype=torch.float32,
                use_safetensors=self.weights[0].suffix == ".safetensors",
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
        except _UNREADABLE as error:
            raise self._unreadable("weights", error) from error
        if lacking := sorted(set(report["missing_keys"]) - set(may_lack)):
            raise UserError(
                f"{self.folder}: the weights lack {lacking[0]} ({len(lacking)} missing in all);"
                f" give a whole checkpoint by {self.option} DIR"
            )
        frozen: nn.Module = model.eval().requires_grad_(False)
        return frozen

    def _read(self, kind: Any, what: str) -> Any:
        try:
            return kind.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
        except _UNREADABLE as error:
            raise self._unreadable(what, error) from error

    def _unreadable(self, what: str, error: BaseException) -> UserError:
        cause = " ".join(str(error).split())[:160]
        return UserError(
            f"{self.folder}: cannot read the {what} ({cause});"
            f" give a transformers checkpoint by {self.option} DIR"
        )


def hidden_states(wanted: list[int], depth: int, model: str, option: str) -> list[int]:
    """Rising indices of hidden states from 0 (input) to `depth` (last layer); -1 is the last.

    Raises:
        UserError: If none is wanted, or one that the model does not have.
    """
    wrong = [index for index in wanted if not -depth - 1 <= index <= depth]
    if wrong or not wanted:
        raise UserError(
            f"{option} {wrong or wanted}: {model} has hidden states 0 to {depth},"
            f" or -{depth + 1} to -1"
        )
    return sorted({index % (depth + 1) for index in wanted})


def _fetch(model: str, option: str) -> Path:
    """Folder of a hub model's files. Torch files are fetched only if there are no safetensors."""
    configs = ["*config*.json"]
    try:
        folder = _snapshot(model, [*configs, "model*.safetensors", "model*.safetensors.index.json"])
        if not list(folder.glob("model*.safetensors")):
            folder = _snapshot(
                model, [*configs, "pytorch_model*.bin", "pytorch_model*.bin.index.json"]
            )
    except HFValidationError as error:
        raise UserError(
            f"no such folder: {model}; give a checkpoint's folder by {option} DIR, or a hub name"
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError) as error:
        raise UserError(
            f"cannot get '{model}': no such folder, and the hub does not give it"
            f" ({type(error).__name__}); download it elsewhere and give its folder by {option} DIR"
        ) from error
    return folder


def _snapshot(model: str, patterns: list[str]) -> Path:
    return Path(snapshot_download(model, allow_patterns=patterns))
