"""`python -m fusion.search`: settings of a recipe that score best on what is held out.

Data flow: recipe + space > Optuna's next values > training > official score on the validation
split, the held-out fold or all folds (never the test part) > the next values ... > best.yaml.

    python -m fusion.search mtl --space mtl --trials 20
    python -m fusion.train runs/mtl/search/best.yaml

    RUNS/NAME/search/study.db    all trials (SQLite, for optuna-dashboard too)
    RUNS/NAME/search/VALUES...   a run for each set of values, named by their hash
    RUNS/NAME/search/best.yaml   the recipe with the best values so far

A search that is stopped goes on: finished trials are found, the unfinished one goes on from its
last epoch. One process at a time may work on a search.
"""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from features.cli.app import OK, run
from features.cli.wording import counted
from features.errors import UserError
from features.store.atomic_file import write_atomically
from features.store.fingerprint import settings_hash
from fusion.data.run_identity import plain
from fusion.metrics.official import TOTAL
from fusion.training.config import TrainSettings, check_training
from fusion.training.search_space import SEARCH, Dimension, read_space, with_values

if TYPE_CHECKING:
    import optuna

STUDY, BEST_RECIPE = "study.db", "best.yaml"
IDENTITY = "identity"
"""User attribute of the study: recipe, metric and space."""
VALUES = "values"
"""User attribute of a trial: its values by dotted key, as JSON has them."""


@dataclass
class SearchSettings(TrainSettings):
    """Settings of a search, beside those of a training run.

    Args:
        space: YAML file, or the name of a shipped one: dotted key to {low, high, log} or {choices}.
        trials: Number of finished trials at which the search ends, earlier legs counted.
        metric: Score to maximise: P, the sum of all tasks, or that of one task, such as VA.
    """

    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "space",
        "trials",
        "metric",
        "data.root",
        "data.store",
        "name",
        "epochs",
        "folds",
        "fresh",
    )

    space: Path = Path("mtl")
    trials: int = 20
    metric: str = TOTAL


def search(settings: SearchSettings) -> Path:
    """Tries values until the number of trials is reached.

    Returns:
        The best recipe, a file that `fusion.train --cfg` takes.

    Raises:
        UserError: If Optuna is absent, metric or space make no sense, the folder holds another
            search, or a trial cannot be trained.
    """
    recipe = _recipe(settings)
    check_training(recipe)
    metrics = [TOTAL, *(task.title for task in recipe.made_tasks().values())]
    if settings.metric not in metrics:
        raise UserError(f"metric {settings.metric}: choose {', '.join(metrics)}")
    space = read_space(settings.space, recipe)
    folder = settings.runs / settings.name / SEARCH
    if settings.fresh and folder.is_dir():
        shutil.rmtree(folder)
    study = open_study(folder / STUDY, settings, space)
    _continue_unfinished(study)
    while len(finished := _finished(study)) < settings.trials:
        trial = study.ask()
        values = {dimension.key: dimension.suggest(trial) for dimension in space}
        trial.set_user_attr(VALUES, values)
        said = "  ".join(f"{key} {value}" for key, value in values.items())
        try:
            score = _score(settings, recipe, values)
        except UserError as error:
            study.tell(trial, state=type(study.trials[-1].state).FAIL)
            raise UserError(f"{error} (trial with {said})") from error
        study.tell(trial, score)
        print(f"trial {len(finished) + 1}/{settings.trials}: {settings.metric} {score:.3f}  {said}")
        _write_best(study, settings, recipe, folder / BEST_RECIPE)
    best = study.best_trial
    print(f"best of {len(finished)}: {settings.metric} {best.value:.3f}")
    for key, value in best.user_attrs[VALUES].items():
        print(f"  {key}: {value}")
    return _write_best(study, settings, recipe, folder / BEST_RECIPE)


def _recipe(settings: SearchSettings) -> TrainSettings:
    """The settings of training alone; the processes of several devices would each search."""
    if settings.devices not in (None, 1):
        raise UserError("devices must be 1 in a search; leave it out")
    recipe = {name: getattr(settings, name) for name in vars(TrainSettings())}
    return TrainSettings(**recipe | {"devices": 1, "fresh": False})


def open_study(path: Path, settings: SearchSettings, space: list[Dimension]) -> "optuna.Study":
    """The study of a file; made if there is none.

    Raises:
        UserError: If Optuna is absent, or the file holds a study of another recipe or space.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError("the search needs Optuna; pip install 'affuse[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{path.resolve()}",
        study_name=SEARCH,
        direction="maximize",
        load_if_exists=True,
    )
    # Another seed in each leg, else a leg would begin with the values of the first one.
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.trials))
    asked = _identity(settings, space)
    known = study.user_attrs.get(IDENTITY, asked)
    if changed := [key for key in asked if asked[key] != known.get(key)]:
        raise UserError(
            f"{path.parent} holds a search with other settings ({', '.join(changed)});"
            " choose another --name, or --fresh true to delete it"
        )
    study.set_user_attr(IDENTITY, asked)
    return study


def _identity(settings: SearchSettings, space: list[Dimension]) -> dict[str, Any]:
    """What makes trials comparable, as JSON has it."""
    recipe = plain(_recipe(settings)) | {"folds": settings.folds, "seeds": settings.seeds}
    content = recipe | {"metric": settings.metric, "space": [asdict(one) for one in space]}
    return dict(json.loads(json.dumps(content)))


def _finished(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]


def _continue_unfinished(study: "optuna.Study") -> None:
    """Queues the values of a trial that was stopped, so that they are the next to be tried."""
    for trial in study.trials:
        if trial.state.name == "RUNNING":
            study.tell(trial.number, state=type(trial.state).FAIL)
            study.enqueue_trial(trial.params)


def _score(settings: SearchSettings, recipe: TrainSettings, values: dict[str, Any]) -> float:
    """Trains with the values, or finds that run, and scores what it holds out."""
    from fusion.training.cross_validation import train_several  # loads torch
    from fusion.training.run import with_data

    name = f"{settings.name}/{SEARCH}/{settings_hash(values)}"
    trial = with_data(replace(with_values(recipe, values), name=name))
    score = train_several(trial, keep=False)[settings.metric]
    if score != score:
        raise UserError(f"{settings.metric} cannot be searched for: none of its labels is held out")
    return score


def _write_best(
    study: "optuna.Study", settings: SearchSettings, recipe: TrainSettings, path: Path
) -> Path:
    """The best trial's recipe as YAML."""
    best = with_values(recipe, study.best_trial.user_attrs[VALUES])
    content = {**plain(best), "name": f"{settings.name}-best", "runs": str(settings.runs)}
    head = f"# Best of {counted(len(_finished(study)), 'trial')} of {settings.space.name}:"
    head += f" {settings.metric} {study.best_value:.4f} on what was held out.\n"
    write_atomically(path, (head + yaml.safe_dump(content, sort_keys=False)).encode())
    return path


def command(settings: SearchSettings) -> int:
    """Searches, and says where the best recipe lies."""
    if settings.trials < 1:
        raise UserError(f"--trials must be at least 1: {settings.trials}")
    best = search(settings)
    print(f"recipe: {best}; train it with python -m fusion.train --cfg {best}")
    return OK


main = partial(run, SearchSettings, command, prog="fusion.search", description=__doc__ or "")

if __name__ == "__main__":
    main()
