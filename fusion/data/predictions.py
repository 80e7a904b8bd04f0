"""Frame-level predictions of one person in one video, as a file for other programs.

Data flow: scores of the model > FramePredictions > `ID.parquet` or `ID.csv` > report, pandas.

One row a frame. Columns: `frame` (1-based, as ABAW counts), `time` (s), `face`, `valence`,
`arousal`, a probability for each of `EXPRESSIONS`, `expression` (name of the most probable), a
probability for each of `UNITS`, and `AU1_on` ... `AU26_on` (probability at or above the threshold).
A model that has learnt compound expressions adds `compound_Anger` ... `compound_Surprise`, the
probability of each of `BASIC_EXPRESSIONS` by itself; a compound scores the sum of its two.
What belongs to the whole file (id, video, thresholds, provenance) lies in the Parquet schema's
metadata under `affuse`, and for CSV in `ID.csv.json` beside it. Nothing is lost in either format.

Letters: F frames.
"""

import json
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.abaw.challenges import BASIC_EXPRESSIONS
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, UNITS

Format = Literal["parquet", "csv"]
METADATA_KEY = b"affuse"
MADE_OF = "made of"
"""Key in the provenance: fingerprint of checkpoint and tracks."""
SIDECAR = ".json"
"""Added to the name of a CSV file: where its metadata lies."""
SUM_TOLERANCE = 1e-3
"""How far the expressions' probabilities may be from adding up to 1."""
COMPOUND_COLUMNS = tuple(f"compound_{name}" for name in BASIC_EXPRESSIONS)
"""Of a model that has learnt compound expressions."""


@dataclass(frozen=True)
class FramePredictions:
    """What the model says of one person in one video; row i belongs to frame i + 1.

    Attributes:
        id: Name of the person's track, e.g. `12` or `12_left`.
        video: Id of the video, e.g. `12`.
        times: (F,) float64, seconds from the start of the video stream, strictly rising.
        face: (F,) bool, whether a face was seen; if not, the scores rest on the other streams and
            on the frames around.
        va: (F, 2) float32, valence and arousal in [-1, 1].
        expr: (F, 8) float32, probabilities of `EXPRESSIONS`; rows add up to 1.
        au: (F, 12) float32, probability of each of `UNITS`.
        thresholds: (12,) float32; a unit is on where its probability reaches its threshold.
        provenance: What made them, e.g. the checkpoint's hash and each stream's revision.
        compound: (F, 6) float32, probability of each of `BASIC_EXPRESSIONS` by itself; None where
            the model has not learnt compound expressions.

    Raises:
        ValueError: If shapes, types or ranges break the contract.
    """

    id: str
    video: str
    times: np.ndarray
    face: np.ndarray
    va: np.ndarray
    expr: np.ndarray
    au: np.ndarray
    thresholds: np.ndarray
    provenance: dict[str, str] = field(default_factory=dict)
    compound: np.ndarray | None = None

    def __post_init__(self) -> None:
        frames = len(self.times)
        self._expect("times", (frames,), np.float64, -np.inf, np.inf)
        self._expect("face", (frames,), np.bool_, 0, 1)
        self._expect("va", (frames, len(DIMENSIONS)), np.float32, -1, 1)
        self._expect("expr", (frames, len(EXPRESSIONS)), np.float32, 0, 1)
        self._expect("au", (frames, len(UNITS)), np.float32, 0, 1)
        if self.compound is not None:
            self._expect("compound", (frames, len(BASIC_EXPRESSIONS)), np.float32, 0, 1)
        self._expect("thresholds", (len(UNITS),), np.float32, -np.inf, np.inf)
        if (np.diff(self.times) <= 0).any():
            raise ValueError("times must rise strictly")
        if (np.abs(self.expr.sum(1) - 1) > SUM_TOLERANCE).any():
            raise ValueError("the probabilities in expr must add up to 1")

    def _expect(
        self, name: str, shape: tuple[int, ...], dtype: type, low: float, high: float
    ) -> None:
        array = getattr(self, name)
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(
                f"{name} must be {shape} {dtype.__name__}, not {array.shape} {array.dtype}"
            )
        if not (np.isfinite(array) & (array >= low) & (array <= high)).all():
            raise ValueError(f"{name} must be finite and in [{low}, {high}]")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def expr_class(self) -> np.ndarray:
        """(F,) int64, index of the most probable expression."""
        return self.expr.argmax(1)

    @property
    def au_on(self) -> np.ndarray:
        """(F, 12) bool, whether each unit is on."""
        return self.au >= self.thresholds


def write_predictions(
    predictions: FramePredictions, folder: Path, format: Format = "parquet"
) -> Path:
    """Writes `folder/ID.parquet`, or `folder/ID.csv` with its sidecar, and returns the path.

    The file is at any instant absent, the old one, or the whole new one.

    Raises:
        UserError: If the id cannot name a file.
    """
    if predictions.id.startswith(".") or any(c in predictions.id for c in "/\\\0"):
        raise UserError(f"'{predictions.id}' cannot name a file; rename the source file")
    path = folder / f"{predictions.id}.{format}"
    table, metadata, buffer = _table(predictions), _metadata(predictions), BytesIO()
    if format == "parquet":
        table = table.replace_schema_metadata({METADATA_KEY: metadata})
        pa.parquet.write_table(table, buffer, write_page_checksum=True)
    else:
        pa.csv.write_csv(table, buffer, pa.csv.WriteOptions(quoting_style="none"))
        write_atomically(_sidecar(path), metadata)
    write_atomically(path, buffer.getvalue())
    return path


def read_predictions(path: Path) -> FramePredictions:
    """Reads a file that `write_predictions` made.

    Raises:
        UserError: If there is no such file, or it is damaged or something else.
    """
    try:
        return _parse(path)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; run fusion.predict again") from error
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        cause = " ".join(str(error).split())
        raise UserError(
            f"{path}: damaged or not predictions ({cause}); run fusion.predict again"
        ) from error


def list_predictions(folder: Path) -> dict[str, Path]:
    """Files of predictions in a folder by id, in order of their ids; not looked into.

    Raises:
        UserError: If there is no such folder, or an id is there in both formats.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; fusion.predict makes one")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lstrip(".") not in get_args(Format) or path.name.startswith("."):
            continue
        other = found.setdefault(path.stem, path)
        if other != path:
            raise UserError(f"{folder}: both {other.name} and {path.name}; remove the older one")
    return dict(sorted(found.items()))


def _table(p: FramePredictions) -> pa.Table:
    """The columns that both formats share."""
    columns: dict[str, np.ndarray] = {
        "frame": np.arange(1, len(p) + 1, dtype=np.int64),
        "time": p.times,
        "face": p.face,
        **dict(zip(DIMENSIONS, p.va.T, strict=True)),
        **dict(zip(EXPRESSIONS, p.expr.T, strict=True)),
        "expression": np.array(EXPRESSIONS)[p.expr_class],
        **dict(zip(UNITS, p.au.T, strict=True)),
        **{f"{unit}_on": on for unit, on in zip(UNITS, p.au_on.T, strict=True)},
    }
    if p.compound is not None:
        columns |= dict(zip(COMPOUND_COLUMNS, p.compound.T, strict=True))
    return pa.table({name: pa.array(np.ascontiguousarray(c)) for name, c in columns.items()})


def _metadata(p: FramePredictions) -> bytes:
    """What belongs to the whole file, as JSON; `frames` shows whether rows are lacking."""
    content = {
        "id": p.id,
        "video": p.video,
        "frames": len(p),
        "thresholds": dict(zip(UNITS, p.thresholds.tolist(), strict=True)),
        "provenance": p.provenance,
    }
    return json.dumps(content, indent=1).encode()


def read_made_of(path: Path) -> str | None:
    """Fingerprint of what a file of predictions was made of.

    None where there is no such file, or it cannot be read, or tells nothing of it.
    """
    return read_provenance(path).get(MADE_OF)


def read_provenance(path: Path) -> dict[str, str]:
    """What a file of predictions says of what made it, without its frames.

    Empty where there is no such file, or it cannot be read, or tells nothing.
    """
    said = (read_metadata(path) or {}).get("provenance")
    return {str(k): str(value) for k, value in said.items()} if isinstance(said, dict) else {}


def read_metadata(path: Path) -> dict[str, Any] | None:
    """What a file of predictions says of the whole of it; None without one that can be read."""
    try:
        if path.suffix == ".csv":
            metadata = json.loads(_sidecar(path).read_bytes())
        else:
            metadata = json.loads((pa.parquet.read_schema(path).metadata or {})[METADATA_KEY])
    except (FileNotFoundError, KeyError, ValueError, pa.ArrowException):
        return None
    return metadata if isinstance(metadata, dict) else None


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR)


def _parse(path: Path) -> FramePredictions:
    """Reads either format; raises what json, pyarrow and the contract raise."""
    data = path.read_bytes()
    if path.suffix == ".csv":
        metadata = json.loads(_sidecar(path).read_bytes())
        table = pa.csv.read_csv(BytesIO(data), convert_options=_csv_types())
    else:
        table = _read_parquet(data)
        metadata = json.loads((table.schema.metadata or {})[METADATA_KEY])
    if metadata["id"] != path.stem:
        raise ValueError(f"it holds those of '{metadata['id']}'")
    return _from_table(table, metadata)


def _read_parquet(data: bytes) -> pa.Table:
    try:
        return pa.parquet.read_table(BytesIO(data), page_checksum_verification=True)
    except OSError as error:  # how pyarrow says that the bytes make no sense
        raise ValueError(error) from error


def _csv_types() -> pa.csv.ConvertOptions:
    scores = (*DIMENSIONS, *EXPRESSIONS, *UNITS, *COMPOUND_COLUMNS)
    types = {"frame": pa.int64(), "time": pa.float64(), "face": pa.bool_()}
    return pa.csv.ConvertOptions(column_types=types | dict.fromkeys(scores, pa.float32()))


def _from_table(table: pa.Table, metadata: dict[str, Any]) -> FramePredictions:
    """Puts the columns together again; `expression` and `AU_on` follow from the others."""

    def columns(names: tuple[str, ...], dtype: type) -> np.ndarray:
        return np.stack([table[name].to_numpy() for name in names], 1).astype(dtype)

    held = set(COMPOUND_COLUMNS) & set(table.column_names)
    frames = table["frame"].to_numpy()
    if not np.array_equal(frames, np.arange(1, metadata["frames"] + 1)):
        raise ValueError(f"frames 1 to {metadata['frames']} expected in order")
    return FramePredictions(
        id=metadata["id"],
        video=metadata["video"],
        times=columns(("time",), np.float64)[:, 0],
        face=columns(("face",), np.bool_)[:, 0],
        va=columns(DIMENSIONS, np.float32),
        expr=columns(EXPRESSIONS, np.float32),
        au=columns(UNITS, np.float32),
        thresholds=np.array([metadata["thresholds"][unit] for unit in UNITS], np.float32),
        provenance=metadata["provenance"],
        compound=columns(COMPOUND_COLUMNS, np.float32) if held else None,
    )
