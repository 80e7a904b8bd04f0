"""Checkpoints of transformers: hub name or folder > files on this disk > frozen float32 model.

Nothing is unpickled: weights are safetensors, or torch files read with `weights_only=True`
(transformers' default). No code of a checkpoint is run. Every weight that the model needs must be
in the file, in the model's size, and finite.

What comes from the hub is kept in the hub's local cache, where a file bears the name of its hash as
the hub states it: sha256 for weights (Git LFS), Git's own for small files. huggingface_hub compares
only sizes, so `Checkpoint.find` hashes the weights and compares, at every start. (Where the disk
has no symbolic links the cache keeps no hash, and nothing is compared.) A folder that the user
names is taken as it is.
"""

import json
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from features.encoders.base import READY, Status
from features.errors import UserError
from features.store.fingerprint import sha256_of, weights_hash

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    from torch import nn

_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    EOFError,
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
            UserError: If there is no such folder, the hub cannot be reached, it has no weights, or
                the weights in the hub's cache do not have the hash that the hub stated.
        """
        folder = Path(model).expanduser()
        if not folder.is_dir():
            folder = _fetch(model, option)
            _verify(_weights_in(folder))
        if weights := _weights_in(folder):
            return cls(model, folder, weights, option)
        raise UserError(_no_weights(folder, option))

    @staticmethod
    def status(model: str, option: str) -> Status:
        """Whether `find` would succeed without a network; looks at names of files only."""
        folder = Path(model).expanduser()
        if not folder.is_dir():
            from huggingface_hub import try_to_load_from_cache
            from huggingface_hub.errors import HFValidationError

            try:
                cached = try_to_load_from_cache(model, "config.json")
            except HFValidationError:
                return Status("needs weights", _no_folder(model, option))
            if not isinstance(cached, str) or not _weights_in(Path(cached).parent):
                return Status(
                    "needs download",
                    f"downloads '{model}' at first use; without a network, give a local folder of"
                    f" it by {option} DIR",
                )
        elif not _weights_in(folder):
            return Status("needs weights", _no_weights(folder, option))
        return READY

    @property
    def revision(self) -> str:
        """Hash of the weights."""
        return weights_hash(*self.weights)

    def config(self, *wanted: str) -> Any:
        """The model's configuration; raises UserError if it cannot be read.

        Args:
            wanted: Names of its values that will be looked at, if not all: what the file says is
                enough then, unless it leaves one of them to transformers, which takes seconds.
        """
        if (given := self._said("config.json", wanted)) is not None:
            return given
        import transformers

        return self._read(transformers.AutoConfig, "configuration")

    def preprocessor(self, *wanted: str) -> Any:
        """The feature extractor's configuration; as `config`."""
        if (given := self._said("preprocessor_config.json", wanted)) is not None:
            return given
        import transformers

        return self._read(transformers.AutoFeatureExtractor, "preprocessor configuration")

    def _said(self, name: str, wanted: tuple[str, ...]) -> Any:
        """The values of a JSON file; None if none is wanted, or the file does not tell them all."""
        try:
            given = json.loads((self.folder / name).read_text()) if wanted else {}
        except (OSError, ValueError):  # transformers will tell
            return None
        tells = isinstance(given, dict) and all(given.get(key) is not None for key in wanted)
        return SimpleNamespace(**given) if wanted and tells else None

    def load(self, model_class: Any, may_lack: tuple[str, ...] = (), **options: Any) -> "nn.Module":
        """The model with its weights, frozen, float32, in evaluation mode.

        Args:
            model_class: Class of transformers with `from_pretrained`.
            may_lack: Weights that are not used and so may be missing from the file.
            **options: Further arguments of `from_pretrained`.

        Raises:
            UserError: If the weights cannot be read, do not fit, leave part of the model untrained,
                or are not finite.
        """
        import torch

        try:
            with _quiet_transformers():
                model, report = model_class.from_pretrained(
                    self.folder,
                    dtype=torch.float32,
                    use_safetensors=self.weights[0].suffix == ".safetensors",
                    local_files_only=True,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,  # so that they are told; `_check` refuses them
                    **options,
                )
        except _UNREADABLE as error:
            raise self._unreadable("weights", error) from error
        self._check(model, report, may_lack)
        frozen: nn.Module = model.eval().requires_grad_(False)
        return frozen

    def _check(self, model: "nn.Module", report: dict[str, Any], may_lack: tuple[str, ...]) -> None:
        """Raises UserError for weights that are missing, of another size or not finite."""
        import torch

        fault = ""
        lacking = sorted(set(report["missing_keys"]) - set(may_lack))
        infinite = (n for n, w in model.state_dict().items() if not torch.isfinite(w).all())
        if report["mismatched_keys"]:
            name, have, want = min(report["mismatched_keys"])
            fault = f"weight '{name}' is {tuple(have)}, but config.json asks for {tuple(want)}"
        elif lacking:
            fault = f"the weights lack '{lacking[0]}' ({len(lacking)} missing in all)"
        elif name := next(infinite, ""):
            fault = f"weight '{name}' is not finite"
        if fault:
            raise UserError(f"{self.folder}: {fault}; give a whole checkpoint by {self.option} DIR")

    def _read(self, kind: Any, what: str) -> Any:
        try:
            return kind.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
        except _UNREADABLE as error:
            raise self._unreadable(what, error) from error

    def _unreadable(self, what: str, error: BaseException) -> UserError:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        if isinstance(error, pickle.UnpicklingError):
            # torch's own message advises to run the code.
            cause = "a torch file of something else than tensors; no code in it was run"
        return UserError(
            f"{self.folder}: cannot read the {what} ({cause});"
            f" give a transformers checkpoint by {self.option} DIR"
        )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keeps transformers from talking within; afterwards it talks as much as before."""
    from transformers.utils import logging

    bar, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


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
    # Takes a tenth of a second, which whoever asks for help need not wait.
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    configs = ["*config*.json"]
    try:
        folder = _snapshot(model, [*configs, "model*.safetensors", "model*.safetensors.index.json"])
        if not list(folder.glob("model*.safetensors")):
            folder = _snapshot(
                model, [*configs, "pytorch_model*.bin", "pytorch_model*.bin.index.json"]
            )
    except HFValidationError as error:
        raise UserError(_no_folder(model, option)) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError) as error:
        raise UserError(
            f"cannot get '{model}': no such folder, and the hub does not give it"
            f" ({type(error).__name__}); download it elsewhere and give its folder by {option} DIR"
        ) from error
    return folder


def _snapshot(model: str, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, allow_patterns=patterns))


def _verify(weights: tuple[Path, ...]) -> None:
    """Raises UserError for a file of the hub's cache whose sha256 is not the one it is named by."""
    for path in weights:
        blob = path.resolve()
        if re.fullmatch("[0-9a-f]{64}", blob.name) and sha256_of(blob) != blob.name:
            raise UserError(
                f"{path}: not what the hub sent (its sha256 differs); delete {blob} and run again"
            )


def _weights_in(folder: Path) -> tuple[Path, ...]:
    """Files of the weights in a folder; safetensors are preferred."""
    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        # The hub's cache may hold links to files that are gone.
        if weights := tuple(sorted(path for path in folder.glob(pattern) if path.is_file())):
            return weights
    return ()


def _no_weights(folder: Path, option: str) -> str:
    return (
        f"{folder} holds no model.safetensors or pytorch_model.bin;"
        f" give a transformers checkpoint by {option} DIR"
    )


def _no_folder(model: str, option: str) -> str:
    return f"no such folder: {model}; give a checkpoint's folder by {option} DIR, or a hub name"
