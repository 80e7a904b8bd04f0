"""`python -m fusion.train`: from tracks and annotations to trained models and their scores.

Data flow: settings > one run (of one or several stages), or K folds, or several seeds of either
> checkpoints in RUNS/NAME, scores on clips that they were not trained on.

    python -m fusion.train mtl                              # a shipped recipe, the demo corpus
    python -m fusion.train mtl --data.root /data/Aff-Wild2  # your own
    python -m fusion.train my.yaml --folds 6 --seeds 1,2    # a recipe of your own

A killed run goes on from its last epoch; a finished one is not trained again unless told so, and
goes on with more `--epochs` than before (the learning rate then falls over all of them).
"""

from functools import partial

from features.cli.app import OK, run
from fusion.training.config import TrainSettings, check_training


def command(settings: TrainSettings) -> int:
    """Trains, and scores the best epoch of each run on the clips it holds out."""
    check_training(settings)
    from fusion.reporting.score_report import format_scores
    from fusion.training.cross_validation import train_several  # these load torch
    from fusion.training.run import with_data
    from fusion.training.stages import train
    from fusion.training.trainer import is_first_process
    from fusion.training.validation import score_held_out

    settings = with_data(settings)
    if settings.folds or settings.seeds:
        train_several(settings)
        return OK
    best = train(settings)
    if is_first_process():
        metrics = score_held_out(settings, best)
        print(f"validation: {format_scores(metrics.scores())}")
        print(f"checkpoint: {best}")
    return OK


main = partial(run, TrainSettings, command, prog="fusion.train", description=__doc__ or "")

if __name__ == "__main__":
    main()
