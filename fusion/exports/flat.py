"""All frames of all people of a video as one table: JSON lines and Parquet.

Columns: video, person, clip, frame (from 1), time, face, then those of the predictions and own
measures, and the classes by name. What is not there is null.
"""

import json
import math
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from features.store.atomic_file import replacing, write_atomically
from fusion.exports.base import ExportVideo, Format
from fusion.tables.frame_table import FrameTable


class JsonLines(Format):
    """One frame a line."""

    name, purpose = "jsonl", "scripts (.jsonl, a frame a line)"

    def write(self, video: ExportVideo, folder: Path) -> list[Path]:
        """One file a video."""
        path = folder / f"{video.stem}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            for person in video.people:
                for row in rows_of(person.frames):
                    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        return [path]


class Parquet(Format):
    """One table a video, what columns mean in the metadata of its fields."""

    name, purpose = "parquet", "pandas, R, DuckDB (.parquet)"

    def write(self, video: ExportVideo, folder: Path) -> list[Path]:
        """One file a video."""
        parts = [arrow_of(person.frames) for person in video.people]
        buffer = BytesIO()
        pa.parquet.write_table(pa.concat_tables(parts, promote_options="default"), buffer)
        path = folder / f"{video.stem}_frames.parquet"
        write_atomically(path, buffer.getvalue())
        return [path]


def rows_of(table: FrameTable) -> Iterator[dict[str, Any]]:
    """Frames as plain values, None for what is missing."""
    columns = columns_of(table)
    for row in zip(*(each.tolist() for each in columns.values()), strict=True):
        yield {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in zip(columns, row, strict=True)
        }


def columns_of(table: FrameTable) -> dict[str, np.ndarray]:
    """All columns (F,)."""
    frames = len(table)
    found = {
        "video": np.full(frames, table.video, object),
        "person": np.full(frames, table.person, object),
        "clip": np.full(frames, table.id, object),
        "frame": np.arange(1, frames + 1),
        "time": table.times,
        "face": table.face,
        **table.values,
    }
    for name, each in table.classes.items():
        key = name if name not in found else f"{name}_class"
        found[key] = np.array([*each.names, None], object)[each.codes]
    return found


def arrow_of(table: FrameTable) -> pa.Table:
    """The same for pyarrow."""
    arrays, schema = [], []
    for name, values in columns_of(table).items():
        about = table.about.get(name)
        told = {key: getattr(about, key) for key in ("meaning", "unit", "origin")} if about else {}
        array = pa.array(values, from_pandas=True)
        array = array.cast(pa.string()) if values.dtype == object else array
        arrays.append(array)
        schema.append(pa.field(name, array.type, metadata=told))
    return pa.Table.from_arrays(arrays, schema=pa.schema(schema))
