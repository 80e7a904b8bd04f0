"""Size and shape of the model, as a recipe gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from features.cli.choices import Choice
from features.errors import UserError
from fusion.model.older_settings import OLDER, moved, older_settings, tell
from fusion.tasks.registry import Tasks

if TYPE_CHECKING:
    from fusion.model.fusion import FusionSettings, FusionShape
    from fusion.model.temporal import TemporalSettings, TemporalShape

Head = Literal["parallel", "streaming", "scales"]
FUSION = {"name": "concat"}
TEMPORAL = {"name": "transformer", "layers": 2, "heads": 4, "stride": 2, "positions": "none"}
"""Default blocks with all of their settings, so that a command line needs no torch to show them."""


@dataclass(frozen=True)
class ModelSettings:
    """Size and shape of the model.

    A block (fusion, temporal) is a name, or a mapping with its name and those of its own settings
    that are other than their defaults; here they are complete mappings.

    Attributes:
        dim: Width of the fused frames.
        stream_dim: Width of each stream before fusion.
        tcn_levels: Levels of each stream's TCN, with dilations 1, 2, 4, ...; 0 for none.
        kernel: Taps of all convolutions, odd.
        fusion: From several streams to one: `concat`; `gated`, a mean with weights of its own at
            each frame; `cross-attention` (leader, reach, heads), where a frame of the leader asks
            all streams around it; `leader-follower` (leader), attention between the streams of a
            frame beside the leader (LFAN); `top-down` (levels), a path from the coarsest level down
            to the finest (FPN); or a plugin's.
        temporal: Context over the window: `transformer` (layers, heads, stride, positions); `gru`
            or `lstm` (layers, stride), both ways; `tcn` (layers, stride); `causal-tcn` (layers,
            stride), with which the whole model looks at no later frame; `pyramid` (scales, stride),
            scales of time with a path from the slowest down to the frames; `none`; or a plugin's.
        dropout: Dropout everywhere.
        stream_dropout: Chance that a stream of a training window is hidden (never all of them),
            so that the model learns to do without.
        head: Heads of the tasks: `parallel`, side by side; `streaming`, each fed by the one
            before (PASN); `scales`, each at its own scale of a temporal pyramid.
        order: Order of the streaming heads, each task once; empty: binary vectors, then classes,
            then values.
        mutual: Whether classes and values also correct the binary vectors of streaming heads, and
            values enter the classes.
        scales: Scale of the temporal pyramid that each task's head reads, from 0, the fastest;
            empty: 0 for binary vectors, 1 for classes, 2 for values.
    """

    dim: int = 128
    stream_dim: int = 64
    tcn_levels: int = 3
    kernel: int = 5
    fusion: Choice = field(default_factory=lambda: dict(FUSION))
    temporal: Choice = field(default_factory=lambda: dict(TEMPORAL))
    dropout: float = 0.2
    stream_dropout: float = 0.2
    head: Head = "parallel"
    order: tuple[str, ...] = ()
    mutual: bool = False
    scales: dict[str, int] = field(default_factory=dict)

    # Older names, taken for one release.
    leader: InitVar[str | None] = None
    reach: InitVar[int | None] = None
    levels: InitVar[tuple[str, ...] | None] = None
    layers: InitVar[int | None] = None
    heads: InitVar[int | None] = None
    stride: InitVar[int | None] = None
    positions: InitVar[str | None] = None

    def __post_init__(
        self,
        leader: str | None,
        reach: int | None,
        levels: tuple[str, ...] | None,
        layers: int | None,
        heads: int | None,
        stride: int | None,
        positions: str | None,
    ) -> None:
        """Makes the blocks complete.

        Raises:
            UserError: For a block that there is not, or a setting that it has not.
        """
        older = older_settings(locals())
        if older:
            tell(tuple(older))
        for kind, default in (("fusion", FUSION), ("temporal", TEMPORAL)):
            said = getattr(self, kind)
            if older or said != default:
                object.__setattr__(self, kind, moved(kind, said, older))
        object.__setattr__(self, "_older", older)

    @property
    def fusion_block(self) -> "FusionSettings":
        """The fusion's own settings."""
        from fusion.model.fusion import fusions

        return fusions.read(self.fusion)

    @property
    def temporal_block(self) -> "TemporalSettings":
        """The temporal part's own settings."""
        from fusion.model.temporal import temporals

        return temporals.read(self.temporal)

    def fusion_shape(self, streams: Sequence[str]) -> "FusionShape":
        """What the fusion of these streams has to fit."""
        from fusion.model.fusion import FusionShape

        causal = self.temporal_block.causal
        return FusionShape(tuple(streams), self.stream_dim, self.dim, self.dropout, causal)

    @property
    def temporal_shape(self) -> "TemporalShape":
        """What the temporal part has to fit."""
        from fusion.model.temporal import TemporalShape

        return TemporalShape(self.dim, self.kernel, self.dropout)

    def of_stage(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """A stage's changes, with older names that had no use without the stage's own block."""
        older: dict[str, Any] = vars(self)["_older"]
        named = [kind for kind in OLDER if isinstance(changes.get(kind), str)]
        known = {old: older[old] for kind in named for old in OLDER[kind] if old in older}
        return known | dict(changes)


def check_settings(
    settings: ModelSettings, streams: dict[str, int], feeds: Sequence[str], tasks: Tasks
) -> None:
    """Raises UserError, naming the setting, for settings that make no model."""
    if not tasks:
        raise UserError("the model has nothing to say; name at least one task under tasks")
    if not streams and not feeds:
        raise UserError("the model has no stream to look at; name at least one under data.streams")
    for name in ("dim", "stream_dim", "kernel"):
        _require(name, getattr(settings, name), getattr(settings, name) >= 1, "at least 1")
    _require("tcn_levels", settings.tcn_levels, settings.tcn_levels >= 0, "at least 0")
    for name in ("dropout", "stream_dropout"):
        _require(name, getattr(settings, name), 0 <= getattr(settings, name) <= 1, "from 0 to 1")
    _require("kernel", settings.kernel, settings.kernel % 2 == 1, "odd")
    if streams:
        settings.fusion_block.check(settings.fusion_shape(list(streams)))
    settings.temporal_block.check(settings.temporal_shape)
    _check_heads(settings, tasks)


def _check_heads(settings: ModelSettings, tasks: Tasks) -> None:
    _require_choice("head", settings.head, get_args(Head))
    if settings.order:
        rule = f"{', '.join(tasks)}, each once, in any order"
        _require("order", list(settings.order), sorted(settings.order) == sorted(tasks), rule)
    if settings.head == "streaming":
        apart = [name for name, task in tasks.items() if task.by_features]
        kind = f"parallel or scales with tasks.{apart[0]}" if apart else ""
        _require("head", "streaming", not apart, kind)
    if settings.head == "scales":
        _check_scales(settings, tasks)
    elif settings.temporal_block.rows:
        name = settings.temporal_block.name
        _require("head", settings.head, False, f"scales with model.temporal {name}")


def _check_scales(settings: ModelSettings, tasks: Tasks) -> None:
    context, scales = settings.temporal_block, settings.scales
    _require("temporal", context.name, context.rows > 0, "pyramid with model.head scales")
    if scales:
        named = [name for name, task in tasks.items() if not task.made_of]
        every = set(named) <= set(scales) <= set(tasks)
        _require("scales", scales, every, f"a scale each for {', '.join(named)}")
    used = scales_of(settings, tasks)
    within = all(0 <= scale < context.rows for scale in used.values())
    rule = f"from 0 to {context.rows - 1}, with model.temporal.scales {context.rows}"
    _require("scales", scales or dict(sorted(used.items())), within, rule)


def scales_of(settings: ModelSettings, tasks: Tasks) -> dict[str, int]:
    """Scale of the temporal pyramid that each task reads; one made of another's labels reads its.

    A task that the settings do not name reads that of its kind (see `ModelSettings.scales`).
    """
    kinds = {"binary": 0, "classes": 1, "values": 2}

    def of(name: str) -> int:
        if name in settings.scales or name not in tasks:
            return settings.scales.get(name, 0)
        own = tasks[name]
        return of(own.made_of) if own.made_of in tasks else kinds[own.kind]

    return {name: of(name) for name in tasks}


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    _require(name, value, value in choices, f"one of {', '.join(choices)}")


def _require(name: str, value: object, fine: bool, rule: str) -> None:
    if not fine:
        raise UserError(f"model.{name} {value} must be {rule}")
