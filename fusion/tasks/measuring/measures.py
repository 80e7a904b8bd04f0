"""What is told of a frame beside the tasks: head pose, action units of the encoder, uncertainties.

Data flow: tracks of encoders, or scores of tasks > Measure > columns of a file of predictions
(`prediction_files`), lanes of a report, statistics.

A task is learnt by the model; a measure is read off an encoder, or follows from other columns. Each
column says what it means and where it comes from, so that nobody takes a derived number for a
learnt one. A frame without a value (no face, no sound) is NaN, and null in a file.

Letters: F frames, C columns.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from features.cli.wording import counted

Origin = Literal["trained", "measured", "derived", "corrected", "uncertainty"]
"""`trained`: by a network that learnt it from labels; `measured`: without learning, e.g. a box;
`derived`: by a formula from other columns; `corrected`: less the person's own neutral state;
`uncertainty`: of another column."""


@dataclass(frozen=True)
class Column:
    """One number of a frame.

    Attributes:
        name: Of the column, e.g. `AU12_p`.
        meaning: One sentence for people.
        unit: Its unit, e.g. `degrees`; empty for shares and probabilities.
        low, high: Its range; None: open.
        origin: Where it comes from.
    """

    name: str
    meaning: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    origin: Origin = "trained"


@dataclass(frozen=True)
class Measure:
    """Columns that belong together.

    Attributes:
        heading: What they are about, over their lane, e.g. `Action units`.
        columns: C of them.
        values: (F, C) float32, NaN where there is no value.

    Raises:
        ValueError: If shapes, types or ranges break the contract.
    """

    heading: str
    columns: tuple[Column, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.columns):
            names = counted(len(self.columns), "name")
            raise ValueError(f"{self.heading}: values {self.values.shape} under {names}")
        if self.values.dtype != np.float32:
            raise ValueError(f"{self.heading}: values must be float32, not {self.values.dtype}")
        for column, values in zip(self.columns, self.values.T, strict=True):
            low = -np.inf if column.low is None else column.low
            high = np.inf if column.high is None else column.high
            if column.origin not in get_args(Origin):
                raise ValueError(f"{column.name}: origin '{column.origin}' is not known")
            if np.isinf(values).any() or ((values < low) | (values > high)).any():
                raise ValueError(f"{column.name} must be in [{low:g}, {high:g}], or NaN")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.columns)

    def first(self, frames: int) -> "Measure":
        """At most so many of the first frames."""
        return replace(self, values=self.values[:frames])

    def description(self) -> dict[str, Any]:
        """All but the values, as plain ones."""
        return {"heading": self.heading, "columns": [asdict(column) for column in self.columns]}

    @staticmethod
    def of(description: Mapping[str, Any], values: np.ndarray) -> "Measure":
        """The measure of which `description` was taken; what is not known of a column is ignored.

        Args:
            description: As above.
            values: (F, C).
        """
        known = Column.__dataclass_fields__
        columns = tuple(
            Column(**{key: value for key, value in column.items() if key in known})
            for column in description["columns"]
        )
        return Measure(description["heading"], columns, values)


Measures = Mapping[str, Measure]
"""Measures by name, in the order of their columns."""
