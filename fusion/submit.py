"""`python -m fusion.submit`: the official leaderboard file, and a check of any such file.

Data flow: checkpoint + tracks + sample submission (or list of ids) > decisions > file > check.

    python -m fusion.submit --challenge VA --template SAMPLE --out va.txt
    python -m fusion.submit --challenge VA --template SAMPLE --check va.txt
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features.cli import FAILED, OK, UserError, run
from features.demo_data import default_store, root_or_demo
from features.store import TrackStore
from fusion.abaw.checker import Problem, check_submission
from fusion.abaw.labels import Clip, FrameLabels
from fusion.abaw.layout import video_of
from fusion.abaw.lists import Template, read_template, read_test_list
from fusion.abaw.submission import FrameDecisions, SubmissionSummary, write_submission
from fusion.checkpoint import load_checkpoint
from fusion.evaluate import CorpusSettings
from fusion.predictions import FramePredictions
from fusion.predictor import predict_clips


@dataclass
class SubmitSettings:
    """Settings of a submission.

    Args:
        challenge: VA, EXPR, AU or MTL.
        template: Sample submission: its rows and their order are the truth.
        list: Test list (one id a line), where there is no sample submission.
        checkpoint: File written by fusion.train.
        data: Where the data lies.
        out: File to write. None: `submission_CHALLENGE.txt`.
        check: File to check instead of writing one.
    """

    challenge: str = "VA"
    template: Path | None = None
    list: Path | None = None
    checkpoint: Path = Path("runs/mtl/best.ckpt")
    data: CorpusSettings = field(default_factory=CorpusSettings)
    out: Path | None = None
    check: Path | None = None


def decide(predictions: FramePredictions) -> FrameDecisions:
    """Values as they are submitted: most probable expression, units against their thresholds."""
    return FrameDecisions(
        va=predictions.va,
        expr=predictions.expr_class.astype(np.int64),
        au=predictions.au_on.astype(np.int64),
    )


def submit(
    settings: SubmitSettings, template: Template | None, ids: Sequence[str]
) -> SubmissionSummary:
    """Predicts the listed ids and writes the file.

    Raises:
        UserError: If a listed id has no track, or frames and template do not fit.
    """
    checkpoint = load_checkpoint(settings.checkpoint)
    root = root_or_demo(settings.data.root)
    store = TrackStore(settings.data.store or default_store(root))
    clips = [Clip(name, video_of(name), "test", FrameLabels.empty(0), name) for name in ids]
    decisions = {one.id: decide(one) for one in predict_clips(checkpoint, store, clips)}
    absent = [name for name in ids if name not in decisions]
    if absent:
        raise UserError(
            f"{store.root}: no tracks of {len(absent)} listed ids, such as {absent[0]};"
            " run python -m features.extract on the test videos"
        )
    out = settings.out or Path(f"submission_{settings.challenge}.txt")
    return write_submission(out, settings.challenge, decisions, template)


def check(
    path: Path, challenge: str, template: Template | None, ids: Sequence[str]
) -> list[Problem]:
    """Problems of a file against the template, the list, or its form alone."""
    frames = dict.fromkeys(ids) if ids and template is None else None
    return check_submission(path, challenge, template=template, frames=frames)


def report(path: Path, problems: list[Problem]) -> int:
    """Prints the verdict on a file and returns the exit status."""
    for problem in problems:
        print(f"{path}: {problem}")
    print(f"{path}: {'not acceptable' if problems else 'good'}")
    return FAILED if problems else OK


def command(settings: SubmitSettings) -> int:
    """Writes and checks a file, or only checks one."""
    template = read_template(settings.template) if settings.template else None
    ids = list(template.ids) if template else read_test_list(settings.list) if settings.list else []
    if settings.check:
        problems = check(settings.check, settings.challenge, template, ids)
        return report(settings.check, problems)
    if not ids:
        raise UserError("which frames? give --template SAMPLE_SUBMISSION or --list TEST_LIST")
    summary = submit(settings, template, ids)
    print(f"{summary.path}: {summary.rows} rows, {summary.ids} ids")
    for what, counts in (("repeat the last frame", summary.filled), ("left out", summary.surplus)):
        for name, count in counts.items():
            print(f"  {what}: {count} frames of {name}")
    return report(summary.path, check(summary.path, settings.challenge, template, ids))


if __name__ == "__main__":
    run(SubmitSettings, command, prog="fusion.submit", description=__doc__.split("\n")[0])
