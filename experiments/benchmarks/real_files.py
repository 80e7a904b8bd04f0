"""Expected against found, for every media file of a folder.

Data flow: folder > what is expected (`expected.csv`, or the table in its README) > every file
through the readers > one extraction of the folder > a line a file > exit status.

    python -m experiments.benchmarks.real_files DIR

Where there is a `base.mp4`, files that are expected to be right must show and sound like it, or
like a part of it. Without expectations what was found is printed, and only a traceback, or a
picture of `base.mp4` that does not lie upright, counts as a difference.
"""

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from experiments.benchmarks.real_files_found import Found, Likeness, compare, look_into
from features.cli.app import FAILED, OK, run
from features.cli.wording import counted
from features.errors import UserError
from features.execution.job import UNFORESEEN
from features.extract import ExtractSettings, SourceSettings, extract
from features.store.track_store import TrackStore

EXPECTED, BASE = "expected.csv", "base.mp4"
NO_MEDIA = (".csv", ".md", ".txt", ".json")
"""Endings of files that are not tried."""
ALIKE, LATE = 0.98, 0.06
"""Least correlation with the known clip; most seconds by which sound may slip."""
SOUND_TOLERANCE = 0.1
"""Seconds."""
ABOUT = 0.1
"""Share by which a plan may be off."""
LOSS = "loss said"
"""Outcome of a file of which a part is missing."""


@dataclass
class RealFilesSettings:
    """Settings.

    Args:
        folder: Folder of media files.
        extraction: Whether the folder is extracted too.
    """

    POSITIONAL: ClassVar[str] = "folder"

    folder: Path
    extraction: bool = True


@dataclass(frozen=True)
class Expected:
    """What is right for a file; None where nothing is known.

    Attributes:
        frames: Frames.
        size: Width and height as shown.
        sound: Seconds of sound; 0 for none.
        outcome: `ok`, or `loss said`.
    """

    frames: int | None = None
    size: tuple[int, int] | None = None
    sound: float | None = None
    outcome: str = ""


def expectations(folder: Path) -> dict[str, Expected]:
    """What is expected of the files of a folder, by name; nothing if nobody has said."""
    table = folder / EXPECTED
    if table.exists():
        with table.open(newline="", encoding="utf8") as file:
            return {row["file"]: _of_row(row) for row in csv.DictReader(file)}
    readme = folder / "README.md"
    return _of_readme(readme.read_text(encoding="utf8")) if readme.exists() else {}


def _of_row(row: dict[str, str]) -> Expected:
    size = (int(row["width"]), int(row["height"])) if row["width"] else None
    frames = int(row["frames"]) if row["frames"] else None
    return Expected(frames, size, float(row["sound_s"]) if row["sound_s"] else None, row["outcome"])


def _of_readme(text: str) -> dict[str, Expected]:
    """Rows of the table with the columns `file`, `frames declared/decoded` and `audio`.

    Its sizes are those of the stored pictures and say nothing of what is shown.
    """
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    found, names = dict[str, Expected](), list[str]()
    for row in rows:
        if row[0] == "file":
            names = row
        cells = dict(zip(names, row, strict=False))
        frames = re.fullmatch(r"\d+/(\d+)", cells.get("frames declared/decoded", ""))
        if frames:
            silent = cells.get("audio", "").startswith("none")
            found[row[0]] = Expected(int(frames[1]), sound=0.0 if silent else None)
    return found


def differences(expected: Expected, found: Found, likeness: Likeness | None) -> list[str]:
    """What is not as expected, in words."""
    wrong = [*found.crashes]
    if likeness and likeness.correlation >= ALIKE and likeness.way != "upright":
        wrong.append(likeness.way)
    if expected.frames is not None and found.frames != expected.frames:
        wrong.append(f"{found.frames} frames")
    if expected.size and found.size != expected.size:
        wrong.append("size " + ("none" if not found.size else "{}x{}".format(*found.size)))
    if expected.sound is not None:
        heard = found.sound or 0.0
        if abs(heard - expected.sound) > SOUND_TOLERANCE:
            wrong.append(f"{heard:.2f} s of sound")
    if expected.outcome == "ok":
        wrong += [f"said: {line}" for line in (*found.faults, *found.said)]
        wrong += _planned_wrongly(found)
    elif expected.outcome == LOSS and not (found.said or found.faults):
        wrong.append("no loss said")
    if expected.outcome and likeness:
        if likeness.correlation < ALIKE:
            wrong.append(f"pictures differ ({likeness.correlation:.3f})")
        if likeness.slip is not None and abs(likeness.slip) > LATE:
            wrong.append(f"sound {likeness.slip:+.3f} s late")
    return wrong


def _planned_wrongly(found: Found) -> list[str]:
    """What a plan says of a whole file and is not so."""
    pairs = (("frames", found.planned.frames, found.frames),
             ("s of sound", found.planned.sound, found.sound or 0.0))  # fmt: skip
    return [
        f"planned as {plan:g} {what}, not {true:g}"
        for what, plan, true in pairs
        if abs(plan - true) > ABOUT * max(plan, true) + 0.2
    ]


def described(found: Found, likeness: Likeness | None) -> str:
    """What was found, in one line."""
    parts = [
        f"{found.frames} frames" + (" {}x{}".format(*found.size) if found.size else ""),
        "no sound" if found.sound is None else f"{found.sound:.2f} s from {found.offset:+.3f} s",
    ]
    if likeness:
        parts.append(f"pictures {likeness.correlation:.3f} {likeness.way}")
        parts.append("other sound" if likeness.slip is None else f"slip {likeness.slip:+.3f} s")
    return ", ".join([*parts, *(f"said: {line}" for line in (*found.faults, *found.said))])


def extracted(folder: Path, store: Path) -> dict[str, list[str]]:
    """Plans and extracts a folder; what went wrong by id, under `.` what is no item's."""
    data = SourceSettings(root=folder, store=store)
    options = ExtractSettings(data=data, encoders=["expression", "prosody"], workers="0")
    try:
        planned = _crash_of_plan(options)
        causes = extract(options).failures
    except UserError as error:
        return {".": [str(error)]}
    crashes = {name: [cause] for name, cause in causes.items() if cause.endswith(UNFORESEEN)}
    return crashes | ({".": planned} if planned else {})


def _crash_of_plan(options: ExtractSettings) -> list[str]:
    """What no user should see of a plan of the folder."""
    try:
        extract(replace(options, plan=True))
    except UserError:
        raise
    except Exception as error:
        return [f"no plan: {type(error).__name__}: {error}"]
    return []


def rows_of(store: Path, name: str) -> int | None:
    """Rows of the faces track of a video, if there is one."""
    tracks = TrackStore(store)
    return len(tracks.read("faces", name)) if name in tracks.ids("faces") else None


def check(folder: Path, extraction: bool = True) -> dict[str, list[str]]:
    """Prints a line a file; what differs, by name.

    Raises:
        UserError: If the folder is absent or holds nothing.
    """
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix not in NO_MEDIA]
    if not paths:
        raise UserError(f"{folder}: no files in it; give a folder of media files")
    expected, known = expectations(folder), None
    if (folder / BASE).exists():
        known = look_into(folder / BASE)
    wrong: dict[str, list[str]] = {}
    with TemporaryDirectory(prefix="affuse-real-files-") as work:
        store = Path(work, "tracks")
        whole = extracted(folder, store) if extraction else {}
        for path in paths:
            name, found = path.relative_to(folder).as_posix(), look_into(path)
            right = expected.get(name, Expected())
            likeness = compare(found, known) if known else None
            lines = differences(right, found, likeness) + whole.get(path.stem, [])
            rows = rows_of(store, path.stem)
            if extraction and right.frames and not found.faults and rows != right.frames:
                lines.append(f"{rows or 'no'} rows extracted")
            print(f"{name}: {described(found, likeness)}")
            if lines:
                wrong[name] = lines
                print(f"  DIFFERS, expected {right}: " + "; ".join(lines))
    wrong |= {name: lines for name, lines in whole.items() if name == "."}
    missing = sorted(expected.keys() - {p.relative_to(folder).as_posix() for p in paths})
    wrong |= {name: ["no such file"] for name in missing}
    print(f"{counted(len(paths), 'file')}, {len(expected)} with expectations, {len(wrong)} differ")
    for name, lines in wrong.items():
        print(f"  {name}: {'; '.join(lines)}")
    return wrong


def command(settings: RealFilesSettings) -> int:
    """Checks a folder."""
    return FAILED if check(settings.folder, settings.extraction) else OK


if __name__ == "__main__":
    run(
        RealFilesSettings,
        command,
        prog="experiments.benchmarks.real_files",
        description=__doc__.split("\n")[0],
    )
