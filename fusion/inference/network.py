"""Network: a trained model with all it takes to run it on a clip, and the networks that feed it.

Data flow: a checkpoint's content > `slim` (weights and description, no optimizer), kept in the
checkpoints of later stages > NetworkReader > Network > fusion/inference/predictor.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import torch

from fusion.inference.older_formats import weights_brought_up
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings
from fusion.streams.adaptation import Adaptation
from fusion.streams.normalization import Normaliser
from fusion.streams.stream_spec import StreamSpec
from fusion.tasks.registry import Tasks, make_tasks

S = TypeVar("S")

PREFIX = "model."
"""Of the AffectModel's weights in the state of the Lightning module."""
WEIGHTS = "state_dict"
"""Where weights lie in a checkpoint."""
DESCRIPTION = (
    "model",
    "tasks",
    "specs",
    "normalisers",
    "align_window",
    "window",
    "stride",
    "adaptation",
    "feeds",
)
"""Parts of a checkpoint's payload that describe the network."""


@dataclass(frozen=True)
class Network:
    """A trained model, ready to run.

    Attributes:
        model: In evaluation mode.
        specs: Stream name to the encoder its tracks must come from.
        normalisers: Stream name to the normaliser fitted on the training clips.
        align_window: Seconds over which audio tokens are averaged for a frame.
        window: Frames of a window.
        stride: Frames from one window to the next.
        adaptation: How streams are adapted to the person, if at all.
        feeds: Stage name to the network whose features the model takes.
    """

    model: AffectModel
    specs: dict[str, StreamSpec]
    normalisers: dict[str, Normaliser]
    align_window: float
    window: int
    stride: int
    adaptation: Adaptation
    feeds: dict[str, "Network"] = field(default_factory=dict)

    @property
    def tasks(self) -> Tasks:
        """What it says of each frame."""
        return self.model.tasks

    def all(self) -> Iterator["Network"]:
        """This network and all that feed it, directly or not."""
        yield self
        for one in self.feeds.values():
            yield from one.all()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.model.parameters()).device

    def move(self, device: torch.device) -> None:
        """Has it, and all that feed it, compute on a device."""
        for one in self.all():
            one.model.to(device)


def slim(payload: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a network inside another checkpoint: tensors and plain values.

    The networks that feed it are named by their revisions.

    Args:
        payload: Of its own checkpoint.
        state: State of its Lightning module.
    """
    description = {part: payload[part] for part in DESCRIPTION if part in payload}
    return {**description, WEIGHTS: {k: v for k, v in state.items() if k.startswith(PREFIX)}}


def unknown_settings(payload: Mapping[str, Any]) -> list[str]:
    """Settings of a checkpoint's networks, by dotted name, that this version does not know."""
    found = set()
    for one in (payload, *payload.get("networks", {}).values()):
        parts: list[tuple[str, type, Any]] = [("model", ModelSettings, one.get("model", {}))]
        parts += [("adaptation", Adaptation, one.get("adaptation", {}))]
        parts += [("specs", StreamSpec, spec) for spec in one.get("specs", {}).values()]
        for part, kind, said in parts:
            unknown = set(said) - {field.name for field in fields(kind)}
            found |= {f"{part}.{name}" for name in unknown}
    return sorted(found)


def known_settings(kind: type[S], said: Mapping[str, Any]) -> S:
    """Settings from a checkpoint's config; what today's version does not know is left out."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in said.items() if name in names})


class NetworkReader:
    """Networks from what `slim` has kept, each read once however many others it feeds.

    Args:
        kept: Revision of a network's checkpoint to what is kept of it.
    """

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self.kept, self.known = kept, dict[str, Network]()

    def of_revision(self, revision: str) -> Network:
        """The network of a checkpoint of this revision."""
        if revision not in self.known:
            self.known[revision] = self.read(self.kept[revision])
        return self.known[revision]

    def read(self, content: Mapping[str, Any]) -> Network:
        """The network of which this is kept."""
        feeds = {name: self.of_revision(one) for name, one in content.get("feeds", {}).items()}
        specs = {name: StreamSpec(**spec) for name, spec in content["specs"].items()}
        dims = {name: spec.dim for name, spec in specs.items()}
        model = AffectModel(
            ModelSettings(**content["model"]), dims, list(feeds), make_tasks(content["tasks"])
        )
        weights = {key.removeprefix(PREFIX): rows for key, rows in content[WEIGHTS].items()}
        model.load_state_dict(weights_brought_up(weights))
        return Network(
            model=model.eval(),
            specs=specs,
            normalisers={n: Normaliser.from_state(s) for n, s in content["normalisers"].items()},
            align_window=content["align_window"],
            window=content["window"],
            stride=content["stride"],
            adaptation=Adaptation(**content.get("adaptation", {})),  # older ones have none
            feeds=feeds,
        )
