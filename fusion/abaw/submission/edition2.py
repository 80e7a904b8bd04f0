"""Edition 2: one file per id that looks like its annotation, instead of one file for all.

FrameDecisions by id (+ Samples) > `write_folder` > `ID.txt` of each id and SubmissionSummary.
A folder of such files > `check_folder` > what is wrong with each.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.abaw.challenges import challenge_of
from fusion.abaw.reading.tables import read_lines
from fusion.abaw.submission.checker import check_rows
from fusion.abaw.submission.fitting import Lengths, SubmissionSummary, places, require_ids
from fusion.abaw.submission.line_ends import LineEnds
from fusion.abaw.submission.problems import Problem
from fusion.abaw.submission.writer import FrameDecisions, format_rows

SUFFIX = ".txt"


@dataclass(frozen=True)
class Sample:
    """What the file of one id must be like.

    Attributes:
        rows: Number of rows after the header.
        ends: How its lines end.
    """

    rows: int
    ends: LineEnds = LineEnds()  # noqa: RUF009 (frozen)


def read_samples(folder: Path) -> dict[str, Sample]:
    """Reads a folder of sample files, of which only ids and numbers of rows count.

    Raises:
        UserError: If there is no such folder, or no file in it.
    """
    files = list_files(folder)
    if not files:
        raise UserError(f"{folder}: no {SUFFIX} file; give the folder of the sample files")
    return {
        track_id: Sample(len(read_lines(path)) - 1, LineEnds.of(path))
        for track_id, path in files.items()
    }


def list_files(folder: Path) -> dict[str, Path]:
    """Files of a folder by id; raises UserError if there is no such folder."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; edition 2 has one file per video in a folder")
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def write_folder(
    folder: Path,
    challenge: str,
    decisions: Mapping[str, FrameDecisions],
    samples: Mapping[str, Sample] | None = None,
    *,
    unequal: Collection[str] = (),
) -> SubmissionSummary:
    """Writes the file of each id; nothing is written unless all of them can be made.

    Args:
        folder: Gets `ID.txt`; each is at any instant absent, the old one, or the whole new one.
        challenge: VA, EXPR or AU.
        decisions: Decided values by id.
        samples: What is asked for by id; None: all of `decisions`, each as long as its video.
        unequal: Ids whose video is known to have another number of frames.

    Raises:
        UserError: If an id has no prediction, or another number of frames than its sample.
    """
    kind = challenge_of(challenge, edition=2)
    summary = SubmissionSummary(folder)
    require_ids(None if samples is None else list(samples), decisions, summary)
    if samples is None:
        samples = {track_id: Sample(len(decided)) for track_id, decided in decisions.items()}
    files: dict[str, bytes] = {}
    lengths = Lengths()
    for track_id, sample in samples.items():
        decided, known, frame = decisions[track_id], track_id in unequal, np.arange(sample.rows) + 1
        if not lengths.fit(track_id, len(decided), sample.rows, shorter=known, longer=known):
            continue
        at = places(track_id, decided.face, frame, sample.rows, summary)
        text = "".join(f"{row}\n" for row in [kind.header, *format_rows(kind, None, decided, at)])
        files[track_id] = sample.ends.apply(text.encode())
        summary.rows += sample.rows
    lengths.require_fit()
    for track_id, content in files.items():
        write_atomically(folder / f"{track_id}{SUFFIX}", content)
    return summary


def check_folder(
    folder: Path,
    challenge: str,
    *,
    frames: Mapping[str, int | None] | None = None,
    most: int = 20,
) -> dict[Path, list[Problem]]:
    """Checks the file of each id against the format and what the test set asks for.

    Args:
        folder: Folder of the files.
        challenge: VA, EXPR or AU.
        frames: The listed ids with their numbers of frames, None where unknown; None: only the
            form is looked at.
        most: Problems to name of each file.

    Returns:
        Problems by file, or by folder for what is missing; empty if all is good.

    Raises:
        UserError: If there is no such folder or challenge.
    """
    kind = challenge_of(challenge, edition=2)
    files = list_files(folder)
    found: dict[Path, list[Problem]] = {}
    for track_id, path in files.items():
        due = None if frames is None else frames.get(track_id)
        problems = check_rows(path, kind, due, most=most)
        if frames is not None and track_id not in frames:
            problems = [Problem(None, f"'{track_id}' is not in the test list")]
        found[path] = problems
    missing = sorted(frames.keys() - files.keys()) if frames is not None else []
    found[folder] = [Problem(None, f"'{track_id}' has no file") for track_id in missing]
    if not files:
        found[folder].append(Problem(None, f"there is no {SUFFIX} file"))
    return {path: problems for path, problems in found.items() if problems}
