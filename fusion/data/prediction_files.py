"""Files of predictions, for other programs: one of each person, `ID.parquet` or `ID.csv`.

Data flow: FramePredictions > table and metadata > file > FramePredictions.

One row a frame. Columns: `frame` (1-based, as ABAW counts), `time` (s), `face`, then those of each
task: its values (`Task.columns`), and what follows from them (`Task.further_columns`). Of ABAW's
tasks these are `valence`, `arousal`, a probability for each expression, `expression` (name of the
most probable), a probability for each unit, and `AU1_on` ... (probability at or above the
threshold). Last come those of each measure (`measures`), null where there is no value.
What belongs to the whole file (id, video, tasks, thresholds,
measures, provenance) lies in the Parquet
schema's metadata under `affuse`, and for CSV in `ID.csv.json` beside it. Nothing is lost in either.
"""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.data.predictions import FramePredictions
from fusion.tasks.base import Task
from fusion.tasks.measuring.measures import Measure
from fusion.tasks.registry import FORMER, default_tasks, make_tasks

Format = Literal["parquet", "csv"]
METADATA_KEY = b"affuse"
MADE_OF = "made of"
"""Key in the provenance: fingerprint of checkpoint and tracks."""
SIDECAR = ".json"
"""Added to the name of a CSV file: where its metadata lies."""


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
    return save_predictions(predictions, folder / f"{predictions.id}.{format}")


def save_predictions(predictions: FramePredictions, path: Path) -> Path:
    """What `write_predictions` does, to a file of any name that ends in .parquet or .csv."""
    table, buffer = table_of(predictions), BytesIO()
    metadata = json.dumps(metadata_of(predictions), indent=1).encode()
    if path.suffix == ".parquet":
        table = table.replace_schema_metadata({METADATA_KEY: metadata})
        pa.parquet.write_table(table, buffer, write_page_checksum=True)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, buffer, pa.csv.WriteOptions(quoting_style="none"))
        write_atomically(_sidecar(path), metadata)
    else:
        raise UserError(f"{path}: predictions are saved as .parquet or .csv; choose one of them")
    write_atomically(path, buffer.getvalue())
    return path


def read_predictions(path: Path, *, renamed: bool = False) -> FramePredictions:
    """Reads a file that `write_predictions` made.

    Args:
        path: The file.
        renamed: It may have another name than its id's, which tells nothing then.

    Raises:
        UserError: If there is no such file, or it is damaged or something else.
    """
    try:
        return _parse(path, renamed)
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


def table_of(p: FramePredictions) -> pa.Table:
    """The columns that both formats share."""
    columns: dict[str, np.ndarray] = {
        "frame": np.arange(1, len(p) + 1, dtype=np.int64),
        "time": p.times,
        "face": p.face,
    }
    for name, task in p.tasks.items():
        columns |= dict(zip(task.columns, p.values[name].T, strict=True))
        columns |= task.further_columns(p.values[name], p.thresholds.get(name))
    plain = {name: pa.array(np.ascontiguousarray(c)) for name, c in columns.items()}
    for measure in p.measures.values():
        for name, values in zip(measure.names, measure.values.T, strict=True):
            if name in plain:
                raise ValueError(f"two columns are called {name}")
            plain[name] = pa.array(np.ascontiguousarray(values), from_pandas=True)
    return pa.table(plain)


def metadata_of(p: FramePredictions) -> dict[str, Any]:
    """What belongs to the whole file, as plain values; `frames` shows whether rows are lacking."""
    return {
        "id": p.id,
        "video": p.video,
        "frames": len(p),
        "tasks": {name: task.description() for name, task in p.tasks.items()},
        "thresholds": {
            column: limit
            for name, limits in p.thresholds.items()
            for column, limit in zip(p.tasks[name].columns, limits.tolist(), strict=True)
        },
        "measures": {name: measure.description() for name, measure in p.measures.items()},
        "provenance": p.provenance,
    }


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


def _parse(path: Path, renamed: bool) -> FramePredictions:
    """Reads either format; raises what json, pyarrow and the contract raise."""
    data = path.read_bytes()
    if path.suffix == ".csv":
        metadata = json.loads(_sidecar(path).read_bytes())
        table = pa.csv.read_csv(BytesIO(data), convert_options=_csv_types(metadata))
    else:
        table = _read_parquet(data)
        metadata = json.loads((table.schema.metadata or {})[METADATA_KEY])
    if metadata["id"] != path.stem and not renamed:
        raise ValueError(f"it holds those of '{metadata['id']}'")
    return _from_table(table, metadata)


def _read_parquet(data: bytes) -> pa.Table:
    try:
        return pa.parquet.read_table(BytesIO(data), page_checksum_verification=True)
    except OSError as error:  # how pyarrow says that the bytes make no sense
        raise ValueError(error) from error


def _csv_types(metadata: Mapping[str, Any]) -> pa.csv.ConvertOptions:
    scores = [column for task in _tasks_of(metadata).values() for column in task.columns]
    scores += [each["name"] for one in _measures_of(metadata).values() for each in one["columns"]]
    types = {"frame": pa.int64(), "time": pa.float64(), "face": pa.bool_()}
    return pa.csv.ConvertOptions(column_types=types | dict.fromkeys(scores, pa.float32()))


def _tasks_of(metadata: Mapping[str, Any]) -> dict[str, Task]:
    """The tasks of a file; those from before it said so may have compound expressions besides."""
    if "tasks" in metadata:
        return make_tasks(metadata["tasks"])
    return {**default_tasks(), **make_tasks(dict.fromkeys(FORMER))}


def _measures_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Descriptions of the measures of a file by name; older files have none."""
    found: dict[str, Any] = metadata.get("measures", {})
    return found


def _from_table(table: pa.Table, metadata: dict[str, Any]) -> FramePredictions:
    """Puts the columns together again; what follows from values is not looked at."""

    def columns(names: Sequence[str], dtype: type) -> np.ndarray:
        return np.stack([table[name].to_numpy() for name in names], 1).astype(dtype)

    frames = table["frame"].to_numpy()
    if not np.array_equal(frames, np.arange(1, metadata["frames"] + 1)):
        raise ValueError(f"frames 1 to {metadata['frames']} expected in order")
    tasks = _tasks_of(metadata)
    if "tasks" not in metadata:
        held = set(table.column_names)
        tasks = {n: t for n, t in tasks.items() if n not in FORMER or held >= set(t.columns)}
    limits = metadata["thresholds"]
    return FramePredictions(
        id=metadata["id"],
        video=metadata["video"],
        times=columns(("time",), np.float64)[:, 0],
        face=columns(("face",), np.bool_)[:, 0],
        tasks=tasks,
        values={name: columns(task.columns, np.float32) for name, task in tasks.items()},
        thresholds={
            name: np.array([limits[column] for column in task.columns], np.float32)
            for name, task in tasks.items()
            if set(task.columns) <= set(limits)
        },
        measures={
            name: Measure.of(one, columns([each["name"] for each in one["columns"]], np.float32))
            for name, one in _measures_of(metadata).items()
        },
        provenance=metadata["provenance"],
    )
