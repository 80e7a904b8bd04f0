"""Several runs of one recipe: K folds, several seeds, or several seeds of K folds.

Data flow: settings > settings of each run > checkpoints > predictions of the clips that each run
has not been trained on > scores of each, their mean and standard deviation, and the pooled score.

    RUNS/NAME/fold0 ...          the runs          RUNS/NAME/seed1 ...          with --seeds
    RUNS/NAME/out_of_fold        ID.parquet: every clip, by the run that held it out
    RUNS/NAME/scores.csv         the table

A run that is found finished is not trained again, a killed one goes on; so do the predictions. A
run's epoch is the one that scores best on what it holds out, as on any validation split.
"""

import logging
from dataclasses import replace

import pandas as pd

from features.store.atomic_file import write_atomically
from fusion.metrics.official import MetricAccumulator
from fusion.training.config import TrainSettings, check_training
from fusion.training.run_folder import alone_in, clear
from fusion.training.stages import train
from fusion.training.validation import score_held_out

log = logging.getLogger(__name__)

OUT_OF_FOLD = "out_of_fold"
TABLE = "scores.csv"


def train_several(settings: TrainSettings, keep: bool = True) -> dict[str, float]:
    """Trains the runs that the settings ask for, and tells and writes the table of their scores.

    Args:
        settings: With root and store filled in.
        keep: Whether to write the out-of-fold predictions.

    Returns:
        Official scores on clips not trained on: of the one run; pooled over the folds; their mean
        over the seeds.

    Raises:
        UserError: If the settings contradict each other, or as `train`.
    """
    check_training(settings)
    if not (settings.folds or settings.seeds):
        return score_held_out(settings, train(settings)).scores()
    one_device = replace(settings, devices=1, fresh=False)
    with alone_in(settings.runs, settings.name):
        if settings.fresh:
            clear(settings.runs / settings.name)
        return _train_seeds(one_device, keep) if settings.seeds else _train_folds(one_device, keep)


def _train_seeds(settings: TrainSettings, keep: bool) -> dict[str, float]:
    scores = {}
    for seed in settings.seeds:
        name = f"seed{seed}"
        one = replace(settings, name=f"{settings.name}/{name}", seed=seed, seeds=[])
        scores[name] = train_several(one, keep)
    _report(summary(scores), settings)
    return {str(name): float(mean) for name, mean in pd.DataFrame(scores).T.mean().items()}


def _train_folds(settings: TrainSettings, keep: bool) -> dict[str, float]:
    scores, pooled = {}, MetricAccumulator({})
    predictions = settings.runs / settings.name / OUT_OF_FOLD if keep else None
    for one in fold_settings(settings):
        name = f"fold{one.data.fold}"
        log.info("%s of %d:", name, settings.folds)
        metrics = score_held_out(one, train(one), predictions)
        scores[name] = metrics.scores()
        pooled.merge(metrics)
    _report(summary(scores, pooled.scores()), settings)
    return pooled.scores()


def fold_settings(settings: TrainSettings) -> list[TrainSettings]:
    """Settings of the run of each fold."""
    return [
        replace(
            settings,
            name=f"{settings.name}/fold{fold}",
            folds=0,
            data=replace(settings.data, fold=fold, folds=settings.folds),
        )
        for fold in range(settings.folds)
    ]


def summary(
    scores: dict[str, dict[str, float]], pooled: dict[str, float] | None = None
) -> pd.DataFrame:
    """Table of runs by scores, with their mean and sample standard deviation, and the pooled."""
    runs = pd.DataFrame(scores).T
    rows = {"mean": runs.mean(), "sd": runs.std()} | ({"pooled": pooled} if pooled else {})
    return pd.concat([runs, pd.DataFrame(rows).T[list(runs)]])


def _report(table: pd.DataFrame, settings: TrainSettings) -> None:
    path = settings.runs / settings.name / TABLE
    write_atomically(path, table.to_csv(index_label="run").encode())
    log.info("%s", table.to_string(float_format="{:.3f}".format, na_rep="-"))
    log.info("table: %s", path)
