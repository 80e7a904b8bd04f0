"""A search: its space, what it tries, how it goes on, and the recipe it leaves."""

import sys
from pathlib import Path

import pytest
import yaml

from features.cli.app import parse
from features.errors import UserError
from fusion.model.settings import ModelSettings
from fusion.search import SearchSettings, search
from fusion.training import cross_validation
from fusion.training.config import TrainSettings
from fusion.training.search_space import read_space, with_values
from tests.fusion.tiny import write_corpus
from tests.fusion.training.test_cross_validation import settings as train_settings

CONFIGS = Path(__file__).parents[2] / "configs"
SPACE = """
optimizer.lr: {low: 0.0001, high: 0.01, log: true}
model.temporal.layers: {low: 1, high: 2}
data.streams: {choices: [[face], [face, voice]]}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tiny"))


def settings(root: Path, folder: Path, text: str = SPACE, **changes: object) -> SearchSettings:
    space = folder / "space.yaml"
    space.write_text(text)
    recipe = vars(train_settings(root, folder / "runs", folds=0)) | {"trials": 3, "space": space}
    return SearchSettings(**(recipe | changes))


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[TrainSettings]:
    """What was trained, in place of training; the score is best at a learning rate of 0.001."""
    pytest.importorskip("optuna")
    made: list[TrainSettings] = []

    def score(trial: TrainSettings, keep: bool) -> dict[str, float]:
        made.append(trial)
        return {"P": 1 - abs(trial.optimizer.lr - 0.001), "AU": trial.optimizer.lr}

    monkeypatch.setattr(cross_validation, "train_several", score)
    return made


def test_trials_lie_in_the_space_and_the_best_is_a_recipe(root, tmp_path, tried) -> None:
    best = search(settings(root, tmp_path, trials=4))
    assert len(tried) == 4
    assert all(0.0001 <= one.optimizer.lr <= 0.01 for one in tried)
    assert {one.model.temporal["layers"] for one in tried} <= {1, 2}
    assert {tuple(one.data.streams) for one in tried} <= {("face",), ("face", "voice")}
    recipe = parse(TrainSettings, prog="t", description="", argv=["--cfg", str(best)])
    top = min(tried, key=lambda one: abs(one.optimizer.lr - 0.001))
    assert recipe.optimizer == top.optimizer
    assert recipe.data.streams == top.data.streams
    assert recipe.model == top.model
    assert recipe.name == "cv-best"
    assert recipe.runs == tmp_path / "runs"


def test_another_metric_has_another_best(root, tmp_path, tried) -> None:
    best = search(settings(root, tmp_path, trials=3, metric="AU"))
    assert yaml.safe_load(best.read_text())["optimizer"]["lr"] == max(t.optimizer.lr for t in tried)


def test_a_metric_that_the_recipe_has_not_is_refused(root, tmp_path, tried) -> None:
    with pytest.raises(UserError, match=r"^metric CCC: choose P, VA, EXPR, AU$"):
        search(settings(root, tmp_path, metric="CCC"))
    assert not tried


def test_finished_trials_are_not_repeated(root, tmp_path, tried) -> None:
    search(settings(root, tmp_path, trials=3))
    search(settings(root, tmp_path, trials=3))
    assert len(tried) == 3
    search(settings(root, tmp_path, trials=5))
    assert len(tried) == 5
    assert len({one.optimizer.lr for one in tried}) == 5


def test_a_stopped_trial_is_the_next_to_be_tried(root, tmp_path, tried, monkeypatch) -> None:
    stopped = []

    def stop(trial: TrainSettings, keep: bool) -> None:
        stopped.append(trial)
        raise KeyboardInterrupt

    search(settings(root, tmp_path, trials=1))
    with monkeypatch.context() as patch:
        patch.setattr(cross_validation, "train_several", stop)
        with pytest.raises(KeyboardInterrupt):
            search(settings(root, tmp_path, trials=3))
    search(settings(root, tmp_path, trials=3))
    assert len(tried) == 3
    assert tried[1] == stopped[0]


def test_a_trial_that_cannot_be_trained_is_named_and_not_tried_again(
    root, tmp_path, tried, monkeypatch
) -> None:
    def fail(trial: TrainSettings, keep: bool) -> None:
        raise UserError("too wide")

    with monkeypatch.context() as patch:
        patch.setattr(cross_validation, "train_several", fail)
        with pytest.raises(UserError, match=r"too wide \(trial with optimizer.lr 0\.\d+"):
            search(settings(root, tmp_path))
    search(settings(root, tmp_path))
    assert len(tried) == 3


def test_another_search_is_not_mixed_with_it(root, tmp_path, tried) -> None:
    search(settings(root, tmp_path, trials=1))
    others = {
        "model": {"model": ModelSettings(dim=32)},
        "folds": {"folds": 2},
        "metric": {"metric": "AU"},
        "space": {"text": "optimizer.lr: {low: 0.1, high: 0.2}"},
    }
    for what, changes in others.items():
        with pytest.raises(UserError, match=rf"other settings \({what}\).*--fresh true"):
            search(settings(root, tmp_path, **changes))
    search(settings(root, tmp_path, trials=1, fresh=True, **others["space"]))
    assert [0.1 <= one.optimizer.lr <= 0.2 for one in tried] == [False, True]


def test_a_score_without_labels_is_refused(root, tmp_path, tried, monkeypatch) -> None:
    monkeypatch.setattr(cross_validation, "train_several", lambda *_, **__: {"P": float("nan")})
    with pytest.raises(UserError, match="none of its labels"):
        search(settings(root, tmp_path))


def test_a_real_search_trains_on_folds_and_finds_its_runs(root, tmp_path) -> None:
    pytest.importorskip("optuna")
    text = "model.dropout: {choices: [0.1]}"
    best = search(settings(root, tmp_path, text, trials=2, folds=2))
    runs = [path for path in best.parent.iterdir() if path.is_dir()]
    assert len(runs) == 1  # the same values are the same run
    assert {path.name for path in runs[0].iterdir()} == {"fold0", "fold1", "scores.csv"}
    assert yaml.safe_load(best.read_text())["model"]["dropout"] == 0.1


def test_without_optuna_the_remedy_is_one_line(root, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'affuse\[search\]'"):
        search(settings(root, tmp_path))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("optimizer.lrr: {low: 0, high: 1}", "did you mean 'optimizer.lr'"),
        ("optimizer: {low: 0, high: 1}", "group of settings"),
        ("seed: {low: 0, high: 9}", "cannot be searched"),
        ("data.fold: {choices: [0, 1]}", "cannot be searched"),
        ("optimizer.lr: {low: 1, high: 0.1}", "low must be below high"),
        ("optimizer.lr: {low: 0, high: 0.1, log: true}", "above 0"),
        ("optimizer.lr: {low: a, high: 0.1}", "must be numbers"),
        ("optimizer.lr: 3", "give {low, high}"),
        ("model.temporal.layers: {low: 1, high: 2.5}", "whole numbers"),
        ("model.temporal.layers: {choices: [many]}", "model.temporal.layers"),
        ("model.temporal.layers: {choices: []}", "list of values"),
        ("[", "space.yaml:2: not YAML"),
        ("", "expected lines"),
    ],
)
def test_a_space_that_makes_no_sense_is_one_line(text: str, complaint: str, tmp_path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_space(path, TrainSettings())
    assert complaint in str(caught.value)
    assert "space.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_space_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: no such file"):
        read_space(tmp_path / "none.yaml", TrainSettings())


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("spaces/*.yaml")), ids=lambda path: path.name)
def test_every_shipped_space_fits_its_recipe_and_has_a_name(path: Path) -> None:
    recipe = parse(
        TrainSettings, prog="t", description="", argv=["--cfg", str(CONFIGS / path.name)]
    )
    assert len(read_space(path, recipe)) > 5
    assert read_space(Path(path.stem), recipe) == read_space(path, recipe)


def test_values_change_their_settings_alone() -> None:
    before = TrainSettings()
    after = with_values(before, {"model.dim": 64, "epochs": 3})
    assert (after.model.dim, after.epochs) == (64, 3)
    assert before.model.dim != 64
    assert after.optimizer == before.optimizer


def test_blocks_are_searched_whole_or_by_their_own_settings(tmp_path: Path) -> None:
    path, recipe = tmp_path / "space.yaml", TrainSettings()
    path.write_text("model.temporal: {choices: [gru, {name: tcn, layers: 3}]}")
    assert read_space(path, recipe)[0].choices == ('"gru"', '{"name": "tcn", "layers": 3}')
    assert with_values(recipe, {"model.temporal": "gru"}).model.temporal["name"] == "gru"
    whole = with_values(recipe, {"model.temporal.layers": 3}).model
    assert whole.temporal == recipe.model.temporal | {"layers": 3}


@pytest.mark.parametrize("block", ["transformer", "pyramid"])
def test_a_space_with_an_older_name_searches_the_blocks_setting(block: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("model.layers: {low: 1, high: 4}")
    recipe = TrainSettings(model=ModelSettings(temporal=block))
    name = "scales" if block == "pyramid" else "layers"
    (found,) = read_space(path, recipe)
    assert (found.key, found.low, found.high) == (f"model.temporal.{name}", 1, 4)
    assert with_values(recipe, {found.key: 4}).model.temporal[name] == 4
