"""A checkpoint: one file that holds the model and all that is needed to use it.

Data flow: training > Lightning checkpoint with the payload under `affuse` > `load_checkpoint`
> Checkpoint > evaluate, predict, submit. A recipe of several stages puts their networks into one.

The file is read with `weights_only=True`: it holds tensors and plain Python values, no code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from features.encoders.device import resolve_device
from features.errors import UserError
from features.store.atomic_file import write_atomically
from features.store.fingerprint import weights_hash
from fusion.data.seen import BY_FOLD, is_among, tasks_of
from fusion.inference.network import WEIGHTS, Network, NetworkReader, slim, unknown_settings
from fusion.inference.payload import ANSWERS, FORMAT, KEY, NETWORKS, read_payload
from fusion.inference.summary import summary_lines
from fusion.postprocess.decision import Decision
from fusion.streams.adaptation import NO_ADAPTATION, Adaptation
from fusion.streams.stream_spec import StreamSpec
from fusion.tasks.registry import Tasks


@dataclass(frozen=True)
class Checkpoint:
    """A trained predictor: the network that answers each task, and what was decided for them.

    Attributes:
        path: The file.
        revision: Hash of the file.
        answers: Task to the network that answers it; one network for all, unless stages of a recipe
            were put together.
        decision: What was chosen on validation; neutral until fusion.tune has run.
        config: All settings of the run, plain values.
        provenance: Data, versions and revision of the code it comes from.
    """

    path: Path
    revision: str
    answers: dict[str, Network]
    decision: Decision
    config: dict[str, Any]
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        return "\n".join(summary_lines(self))

    @property
    def network(self) -> Network:
        """The network that answers the first task: the only one, unless of several stages."""
        return next(iter(self.answers.values()))

    @property
    def tasks(self) -> Tasks:
        """What it says of each frame."""
        return {name: network.tasks[name] for name, network in self.answers.items()}

    @property
    def learnt(self) -> list[str]:
        """Tasks that it has learnt; what it says of others means nothing."""
        return tasks_of({"config": self.config, "provenance": self.provenance})

    def held_out_decision(self, track_id: str, file: str = "") -> Decision | None:
        """What was chosen without a clip that the decision was tuned on.

        Args:
            track_id: The clip.
            file: sha256 of its file, "" if unknown.

        Returns:
            None for a clip that was not tuned on, or of tuning that did not keep this.
        """
        decided = self.provenance.get("decided", {})
        for fold in decided.get(BY_FOLD, ()) if isinstance(decided, Mapping) else ():
            if is_among(fold["clips"], track_id, file):
                return Decision.from_state(fold["decision"], self.tasks)
        return None

    @property
    def networks(self) -> list[Network]:
        """Every network of the file once, those that feed others too."""
        every = [one for network in self.answers.values() for one in network.all()]
        return list({id(one): one for one in every}.values())

    @property
    def specs(self) -> dict[str, StreamSpec]:
        """Every stream that is needed."""
        return {name: spec for one in self.networks for name, spec in one.specs.items()}

    @property
    def adaptation(self) -> Adaptation:
        """How streams are adapted to the person, by any of the networks."""
        adapted = [one.adaptation for one in self.networks if one.adaptation.kind != "none"]
        return adapted[0] if adapted else NO_ADAPTATION


def load_checkpoint(path: Path, device: str = "auto") -> Checkpoint:
    """Reads a checkpoint.

    Args:
        path: The file.
        device: Where its networks are to compute, see `resolve_device`.

    Raises:
        UserError: If it is absent, damaged, no checkpoint of ours, or of another format; if there
            is no such device.
    """
    place = resolve_device(device)
    content = read_payload(path)
    payload = content[KEY]
    if unknown := unknown_settings(payload):
        raise UserError(
            f"{path}: made by another version of affuse, with settings that this one does not know"
            f" ({', '.join(unknown)}); install that version, or train anew with this one"
        )
    try:
        answers = _read_answers(content)
    except UserError as error:
        plugins = ",".join(payload["config"].get("plugins", []))
        asked = f"; it was trained with --plugins {plugins}" if plugins else ""
        raise UserError(f"{path}: {error}{asked}") from error
    for one in answers.values():
        one.move(place)
    tasks = {name: network.tasks[name] for name, network in answers.items()}
    return Checkpoint(
        path=path,
        revision=weights_hash(path),
        answers=answers,
        decision=Decision.from_state(payload["decision"], tasks),
        config=payload["config"],
        provenance=payload["provenance"],
    )


def _read_answers(content: Mapping[str, Any]) -> dict[str, Network]:
    """The network of each task."""
    payload = content[KEY]
    reader = NetworkReader(payload.get(NETWORKS, {}))
    if ANSWERS in payload:
        return {task: reader.of_revision(one) for task, one in payload[ANSWERS].items()}
    network = reader.read(slim(payload, content[WEIGHTS]))
    return dict.fromkeys(network.tasks, network)


def kept_networks(path: Path) -> dict[str, Any]:
    """What other checkpoints keep of a run's network and of those that feed it, by revision.

    Raises:
        UserError: As `load_checkpoint`.
    """
    content = read_payload(path)
    own = slim(content[KEY], content[WEIGHTS])
    return {**content[KEY].get(NETWORKS, {}), weights_hash(path): own}


def write_assembly(
    path: Path,
    answers: Mapping[str, Path],
    *,
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """Writes a checkpoint in which each task is answered by the network of a run of its own.

    Args:
        path: Where to.
        answers: Task to the checkpoint of the run that answers it.
        config: Settings of the recipe, plain values.
        provenance: What it comes from, plain values.
    """
    networks: dict[str, Any] = {}
    for one in dict.fromkeys(answers.values()):
        networks |= kept_networks(one)
    payload = {
        "format": FORMAT,
        "config": dict(config),
        "decision": {},
        "provenance": dict(provenance),
        ANSWERS: {task: weights_hash(one) for task, one in answers.items()},
        NETWORKS: networks,
    }
    buffer = BytesIO()
    torch.save({KEY: payload}, buffer)
    write_atomically(path, buffer.getvalue())


def write_decision(
    path: Path, out: Path, decision: Decision, provenance: Mapping[str, Any]
) -> None:
    """Writes a checkpoint anew, by rename, with another decision; all else stays.

    Args:
        path: The checkpoint.
        out: Where to write; may be the same file.
        decision: Replaces the one it has.
        provenance: Plain values, added to what the checkpoint says it comes from.

    Raises:
        UserError: As `load_checkpoint`.
    """
    content, buffer = read_payload(path), BytesIO()
    payload = dict(content[KEY])
    payload["decision"] = decision.state()
    payload["provenance"] = {**payload["provenance"], **provenance}
    torch.save({**content, KEY: payload}, buffer)
    write_atomically(out, buffer.getvalue())
