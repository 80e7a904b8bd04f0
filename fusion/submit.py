"""`python -m fusion.submit`: the official leaderboard file, and a check of any such file.

Data flow: checkpoint + tracks, or stored predictions, + sample submission (or list of ids)
> decisions > file (edition 2: folder of files) > check > rules on data and labels.

    python -m fusion.submit VA --template SAMPLE --out va.txt
    python -m fusion.submit CE --template SAMPLE --pred PREDICTIONS
    python -m fusion.submit EXPR --edition 2 --list TEST_LIST --out FOLDER
    python -m fusion.submit VA --template SAMPLE --check va.txt
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

import pandas as pd

from features.cli.app import FAILED, OK, run
from features.errors import UserError
from fusion.abaw.challenges import DEFAULT_CHALLENGE, challenge_of
from fusion.abaw.clip_challenges import CLIP_CHALLENGES
from fusion.abaw.reading.lists import Template, read_template, read_test_list
from fusion.abaw.rules import Source, rule_warnings, unlearnt
from fusion.abaw.submission.checker import check_submission
from fusion.abaw.submission.clip_level import (
    answer_of,
    check_clips,
    read_asked_clips,
    write_clips,
)
from fusion.abaw.submission.decisions import frame_decisions
from fusion.abaw.submission.edition2 import Sample, check_folder, read_samples, write_folder
from fusion.abaw.submission.fitting import SubmissionSummary
from fusion.abaw.submission.line_ends import LineEnds
from fusion.abaw.submission.problems import Problem
from fusion.abaw.submission.writer import FrameDecisions, write_submission
from fusion.data.predictions import FramePredictions
from fusion.evaluation.decided import predict_decided, read_decided
from fusion.evaluation.scored_clips import CorpusSettings
from fusion.tasks.scoring.interface import LATEST

T = TypeVar("T")
Ids = list[str]
"""Under a name of its own, as a setting below is called `list`."""


@dataclass
class SubmitSettings:
    """Settings of a submission.

    Args:
        challenge: VA, EXPR, AU, MTL or CE; ERI (reaction intensity), EMI (mimicry intensity) or AH
            (ambivalence and hesitancy) of whole clips.
        edition: Of ABAW, 2 to 11. Edition 2 has a folder with one file per video, and 7
            expressions; the others differ in what they allow to learn from.
        template: Sample submission: its rows and their order are the truth. Edition 2: a folder
            of sample files. ERI: `data_info.csv` serves too.
        list: Test list (one id a line), where there is no sample submission.
        pred: Folder of predictions to submit, instead of predicting with `checkpoint`.
        checkpoint: File written by fusion.train.
        data: Where the data lies.
        device: Where the model computes: auto (a GPU if there is one), cpu, cuda:1, ...
        out: File to write, edition 2: folder. None: `submission_CHALLENGE.txt` or the like.
        check: File (edition 2: folder) to check instead of writing one.
        unequal: Ids whose video is known to differ from the template by more than a frame.
    """

    POSITIONAL: ClassVar[str] = "challenge"
    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "template",
        "list",
        "checkpoint",
        "pred",
        "data.root",
        "data.store",
        "edition",
        "out",
        "check",
        "device",
    )

    challenge: str = DEFAULT_CHALLENGE
    edition: int = LATEST
    template: Path | None = None
    list: Path | None = None
    pred: Path | None = None
    checkpoint: Path = Path("runs/mtl/best.ckpt")
    data: CorpusSettings = field(default_factory=CorpusSettings)
    device: str = "auto"
    out: Path | None = None
    check: Path | None = None
    unequal: Ids = field(default_factory=Ids)


@dataclass
class Asked:
    """What the test set asks for.

    Attributes:
        ids: Ids that are asked for; None: whatever there are predictions of.
        template: Sample submission of editions 3 and later, if given.
        ends: How its lines end.
        samples: Sample files of edition 2, if given.
        spelt: Of a challenge on whole clips, the ids as the template spells them.
    """

    ids: Sequence[str] | None = None
    template: Template | None = None
    ends: LineEnds | None = None
    samples: Mapping[str, Sample] | None = None
    spelt: Sequence[str] | None = None


def read_asked(settings: SubmitSettings) -> Asked:
    """Reads template or list; both may be absent."""
    kind, given = CLIP_CHALLENGES.get(settings.challenge), settings.template or settings.list
    if kind is not None:
        kind.require_edition(settings.edition)
        spelt = read_asked_clips(given, kind.name) if given else None
        return Asked([kind.id_of(name) for name in spelt] if spelt else None, spelt=spelt)
    if settings.template is None:
        return Asked(read_test_list(settings.list) if settings.list else None)
    if settings.edition == 2:
        samples = read_samples(settings.template)
        return Asked(list(samples), samples=samples)
    template = read_template(settings.template)
    return Asked(template.ids, template, LineEnds.of(settings.template))


def decide(predictions: FramePredictions, edition: int = LATEST) -> FrameDecisions:
    """Values of one id as they are submitted."""
    return frame_decisions(predictions.values, predictions.thresholds, predictions.face, edition)


def submit(settings: SubmitSettings, asked: Asked) -> tuple[SubmissionSummary, list[Source]]:
    """Predicts what is asked for, or reads its predictions, and writes the file.

    Returns:
        What was written, and what it has been learnt from.

    Raises:
        UserError: If a listed id has no track or predictions, or frames and template do not fit.
    """
    kind = CLIP_CHALLENGES.get(settings.challenge)
    if kind is None:
        challenge_of(settings.challenge, settings.edition)
    out = settings.out or _default_out(settings)
    _require_writable(out)
    if kind is not None:
        answers, sources = _said(settings, asked, lambda one: _answer(one, settings))
        table = pd.DataFrame.from_dict(answers, orient="index")
        rows = write_clips(out, kind.name, table, asked.spelt)
        return SubmissionSummary(out, rows, rows), sources
    decisions, sources = _said(settings, asked, lambda one: decide(one, settings.edition))
    _require_learnt(settings, sources)
    if settings.edition == 2:
        summary = write_folder(
            out, settings.challenge, decisions, asked.samples, unequal=settings.unequal
        )
    else:
        summary = write_submission(
            out,
            settings.challenge,
            decisions,
            asked.template,
            ends=asked.ends or LineEnds(),
            unequal=settings.unequal,
        )
    return summary, sources


def _said(
    settings: SubmitSettings, asked: Asked, decide: Callable[[FramePredictions], T]
) -> tuple[dict[str, T], list[Source]]:
    """What is decided of each id that is asked for, and what it has been learnt from."""
    if settings.pred is not None:
        return read_decided(settings.pred, asked.ids, settings.checkpoint, decide)
    if asked.ids is not None:
        data, device = settings.data, settings.device
        return predict_decided(settings.checkpoint, data, device, asked.ids, decide)
    raise UserError(
        "which frames? give --template SAMPLE_SUBMISSION or --list TEST_LIST,"
        " or --pred PREDICTIONS to submit all of them"
    )


def _answer(one: FramePredictions, settings: SubmitSettings) -> dict[str, float]:
    what = str(settings.pred or settings.checkpoint)
    return answer_of(settings.challenge, one.tasks, one.values, what)


def check(
    path: Path, settings: SubmitSettings, asked: Asked
) -> Iterator[tuple[Path, list[Problem]]]:
    """Problems by file against the template, the list, or the form alone; none if all is good."""
    if settings.challenge in CLIP_CHALLENGES:
        if problems := check_clips(path, settings.challenge, asked.spelt):
            yield path, problems
        return
    frames = None if asked.ids is None else dict.fromkeys(asked.ids)
    if settings.edition == 2:
        counts = {track_id: sample.rows for track_id, sample in (asked.samples or {}).items()}
        due = None if frames is None else frames | counts
        yield from check_folder(path, settings.challenge, frames=due).items()
    else:
        problems = check_submission(
            path,
            settings.challenge,
            template=asked.template,
            ends=asked.ends,
            frames=None if asked.template else frames,
        )
        if problems:
            yield path, problems


def report(path: Path, settings: SubmitSettings, asked: Asked) -> int:
    """Prints the verdict on a file or folder and returns the exit status."""
    found = list(check(path, settings, asked))
    for file, problems in found:
        for problem in problems:
            print(f"{file}: {problem}")
    print(f"{path}: {'not acceptable' if found else 'good'}")
    return FAILED if found else OK


def command(settings: SubmitSettings) -> int:
    """Writes and checks a file, or only checks one."""
    asked = read_asked(settings)
    if settings.check:
        return report(settings.check, settings, asked)
    summary, sources = submit(settings, asked)
    print("\n".join(summary.lines()))
    status = report(summary.path, settings, asked)
    if settings.challenge in CLIP_CHALLENGES:  # of which no rules on data are known
        return status
    if lacking := unlearnt(settings.challenge, settings.edition, sources):
        print(f"not learnt, so that these columns mean nothing: {', '.join(lacking)}")
    for line in rule_warnings(settings.challenge, settings.edition, sources):
        print(f"rules: {line}")
    return status


def _default_out(settings: SubmitSettings) -> Path:
    kind = CLIP_CHALLENGES.get(settings.challenge)
    ending = ".csv" if kind is not None and kind.header else ".txt"
    return Path(f"submission_{settings.challenge}{'' if settings.edition == 2 else ending}")


def _require_learnt(settings: SubmitSettings, sources: Sequence[Source]) -> None:
    """Raises UserError if the model has learnt nothing of what the challenge asks for."""
    tasks = challenge_of(settings.challenge, settings.edition).tasks
    lacking = unlearnt(settings.challenge, settings.edition, sources)
    if len(lacking) == len(tasks):
        raise UserError(
            f"{settings.pred or settings.checkpoint}: has not learnt {', '.join(lacking)}, so there"
            f" is nothing to submit to {settings.challenge}; train with labels of it"
        )


def _require_writable(out: Path) -> None:
    """Finds out before the work, not after it; raises the OSError that writing would raise."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out if out.is_dir() else out.parent):
        pass


main = partial(run, SubmitSettings, command, prog="fusion.submit", description=__doc__ or "")

if __name__ == "__main__":
    main()
