"""The main job on the embedded default: raw video to features, models, scores, files, pictures.

Data flow: demo corpus > tracks > three models (audio, visual, both) > scores on held-out people,
whose labels lie outside the corpus > leaderboard files, checked > timelines > the packaged model
on one of the clips, as anybody would run it on a film of their own.

    make demo        or        python -m experiments.demo.run_demo
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.demo.corpus import make_demo
from features.cli.app import FAILED, OK, parse, run
from features.cli.default_corpus import DEMO_ROOT
from features.cli.wording import in_words
from features.extract import ExtractSettings, SourceSettings, extract
from features.pipeline.discovery import find_sources
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import read_truth
from fusion.corpora import read_corpus
from fusion.evaluation.checkpoint_scores import score_clips
from fusion.evaluation.scored_clips import CorpusSettings
from fusion.inference.checkpoint import load_checkpoint
from fusion.metrics.official import MetricAccumulator
from fusion.predict import PredictSettings
from fusion.predict import command as predict
from fusion.report import report
from fusion.reporting.settings import ReportSettings
from fusion.reporting.truth import TruthSettings
from fusion.submit import SubmitSettings
from fusion.submit import command as submit
from fusion.tasks.clips import Clip
from fusion.tasks.labels import one_after_another
from fusion.tasks.registry import DEFAULT, default_tasks
from fusion.training.config import TrainSettings
from fusion.training.stages import train

CONFIG = Path(__file__).parents[2] / "configs/mtl.yaml"
MODELS = {"audio only": ["wav2vec2"], "visual only": ["expression"], "fused": None}
"""Rows of the table: which of the config's streams a model gets; None: all."""
COLUMNS = {"CCC_V": "CCC V", "CCC_A": "CCC A", "EXPR": "EXPR F1", "AU": "AU F1", "P": "P"}
CHALLENGES = ("VA", "EXPR", "AU", "MTL")


@dataclass
class RunDemoSettings:
    """Settings of the demo.

    Args:
        root: Folder of the corpus.
        out: Folder of models, predictions, submissions and pictures.
        epochs: Most epochs of each model; 0: as the config says.
        clips: Number of clips; 0: the default corpus.
        fresh: Train anew what was trained before.
    """

    root: Path = DEMO_ROOT
    out: Path = Path("runs/demo")
    epochs: int = 0
    clips: int = 0
    fresh: bool = False


def constant_scores(train: list[Clip], truth: list[Clip]) -> dict[str, float]:
    """Scores of saying the same of every frame: the training mean, class and units in majority.

    A unit that is on in less than half of the training frames is said to be off.
    """
    va, expr, au = (one_after_another([c.labels for c in train])[task] for task in DEFAULT)
    constant = {
        "va": va.values[va.mask].mean(0),
        "expr": np.bincount(expr.values[expr.mask]).argmax(),
        "au": au.values[au.mask.all(1)].mean(0) >= 0.5,
    }
    metrics = MetricAccumulator(default_tasks())
    for clip in truth:
        decided = {n: np.stack([one] * len(clip.labels)) for n, one in constant.items()}
        metrics.add_decided(clip.labels, decided)
    return metrics.scores()


def format_table(rows: dict[str, dict[str, float]]) -> str:
    """Scores as a Markdown table, a model a row."""
    head = f"| {'model':<12} | " + " | ".join(f"{name:>7}" for name in COLUMNS.values()) + " |"
    rule = f"|{'-' * 14}|" + "|".join("-" * 8 + ":" for _ in COLUMNS) + "|"
    lines = [
        f"| {name:<12} | " + " | ".join(f"{scores[key]:7.3f}" for key in COLUMNS) + " |"
        for name, scores in rows.items()
    ]
    return "\n".join([head, rule, *lines])


def command(settings: RunDemoSettings) -> int:
    """Runs everything and prints the table and what was made."""
    seconds: dict[str, float] = {}
    with timed("corpus", seconds):
        demo = make_demo(settings.root, clips=settings.clips or None)
    with timed("extraction", seconds):
        summary = extract(ExtractSettings(data=SourceSettings(root=demo.root)))
        print(summary)
    store = TrackStore(summary.store)
    truth = read_truth(demo.truth)
    rows = {"constant": constant_scores(labelled(demo.root, "train"), truth)}
    predictions, pictures = settings.out / "predictions", settings.out / "timelines"
    for name, streams in MODELS.items():
        with timed(f"training, {name}", seconds):
            best = train(model_settings(settings, demo.root, name, streams))
        keep = predictions if streams is None else None
        rows[name] = score_clips(load_checkpoint(best), store, truth, keep)[0].scores()
    with timed("files and pictures", seconds):
        good = [submit_demo(challenge, best, settings) == OK for challenge in CHALLENGES]
        drawn = report(
            ReportSettings(
                predictions, TruthSettings(truth=demo.truth), store=store.root, out=pictures
            )
        )
    with timed("the packaged model on one clip", seconds):
        seen = predict_clip(truth, settings)
    print("\nHeld-out people (test part, labels outside the corpus):\n")
    print(format_table(rows))
    print("\n" + ", ".join(f"{name} {in_words(value)}" for name, value in seconds.items()))
    print(f"model: {best}\npredictions: {predictions}\ntimelines: {pictures}")
    print(f"submissions: {settings.out}/submission_{{{','.join(CHALLENGES)}}}.txt")
    complete = all(good) and seen == OK and not summary.failures and not drawn.failures
    return OK if complete else FAILED


def predict_clip(truth: list[Clip], settings: RunDemoSettings) -> int:
    """What the packaged model says of the first test clip; its status."""
    video = next(one for one in find_sources(settings.root) if one.id == truth[0].video).media
    return predict(PredictSettings(input=video, out=settings.out / "packaged", workers="0"))


def labelled(root: Path, split: str) -> list[Clip]:
    """Annotated clips of a split of the corpus."""
    return [clip for clip in read_corpus(root) if clip.split == split]


def model_settings(
    settings: RunDemoSettings, root: Path, name: str, streams: list[str] | None
) -> TrainSettings:
    """The shipped recipe with some of its streams."""
    recipe = parse(TrainSettings, prog="", description="", argv=["--cfg", str(CONFIG)])
    data = replace(recipe.data, root=root, streams=streams or recipe.data.streams)
    return replace(
        recipe,
        name=name.replace(" ", "-"),
        runs=settings.out,
        data=data,
        epochs=settings.epochs or recipe.epochs,
        fresh=settings.fresh,
    )


def submit_demo(challenge: str, checkpoint: Path, settings: RunDemoSettings) -> int:
    """Writes and checks the leaderboard file of one challenge."""
    return submit(
        SubmitSettings(
            challenge=challenge,
            template=settings.root / f"test/{challenge}_sample_submission.txt",
            checkpoint=checkpoint,
            data=CorpusSettings(root=settings.root),
            out=settings.out / f"submission_{challenge}.txt",
        )
    )


@contextmanager
def timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    """Notes how long a step took."""
    print(f"\n== {name}", flush=True)
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began


if __name__ == "__main__":
    run(
        RunDemoSettings,
        command,
        prog="experiments.demo.run_demo",
        description=__doc__.split("\n")[0],
    )
