"""What a run is: what it goes on with, finds finished, says of its data, and refuses."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from features.cli.config_files import merged
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.data.loading.config import DataSettings
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.payload import KEY, read_payload
from fusion.model.settings import ModelSettings
from fusion.training.config import Stage, TrainSettings
from fusion.training.run_folder import DONE
from fusion.training.stages import train
from tests.fusion.small_corpora import put
from tests.fusion.tiny import DIM, FRAMES, write_corpus


def settings(root: Path, runs: Path, **changes: object) -> TrainSettings:
    defaults = {
        "name": "r",
        "runs": runs,
        "data": DataSettings(root=root, streams=["face"], window=20, stride=15, batch=4),
        "model": ModelSettings(
            dim=8,
            stream_dim=4,
            tcn_levels=1,
            temporal={"name": "transformer", "layers": 1, "heads": 1},
        ),
        "epochs": 2,
    }
    return TrainSettings(**(defaults | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of runs with a finished run."""
    runs = tmp_path_factory.mktemp("runs")
    train(settings(root, runs))
    return runs


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(made, tmp_path / "runs")
    return tmp_path / "runs"


def epochs_of(folder: Path) -> list[int]:
    """Epochs that the legs of a run have validated, in order."""
    tables = [pd.read_csv(path) for path in sorted(folder.glob("logs/*/metrics.csv"))]
    return [int(e) for table in tables for e in table.dropna(subset="val/P")["epoch"]]


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("pytorch_lightning.Trainer.fit", never)


@pytest.mark.parametrize("lost", ["last.ckpt", "best.ckpt"])
def test_other_settings_are_refused_whichever_checkpoint_is_left(
    root: Path, runs: Path, lost: str, untrained: None
) -> None:
    (runs / "r" / lost).unlink()
    with pytest.raises(UserError, match=r"other settings \(seed\)"):
        train(settings(root, runs, seed=7))


def test_without_its_last_checkpoint_a_finished_run_is_still_finished(
    root: Path, runs: Path, untrained: None
) -> None:
    (runs / "r/last.ckpt").unlink()
    assert train(settings(root, runs)) == runs / "r/best.ckpt"


def test_a_finished_run_without_its_best_checkpoint_says_so(
    root: Path, runs: Path, untrained: None
) -> None:
    (runs / "r/best.ckpt").unlink()
    with pytest.raises(UserError, match=r"best.ckpt is gone, .*--fresh true"):
        train(settings(root, runs))


def test_a_mark_alone_is_no_finished_run(root: Path, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / DONE).touch()
    assert train(settings(root, tmp_path, epochs=1)).is_file()


def test_more_epochs_go_on_where_it_stopped(root: Path, runs: Path) -> None:
    train(settings(root, runs, epochs=4))
    assert epochs_of(runs / "r") == [0, 1, 2, 3]
    train(settings(root, runs, epochs=4))
    assert epochs_of(runs / "r") == [0, 1, 2, 3]
    with pytest.raises(UserError, match=r"other settings \(epochs\)"):
        train(settings(root, runs, epochs=3))


def test_a_run_that_stopped_early_wants_patience_and_no_epochs(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Learns nothing, so nothing gets better after the first epoch.
    lazy = settings(root, tmp_path, epochs=9, patience=1)
    lazy = replace(lazy, optimizer=replace(lazy.optimizer, lr=1e-30))
    train(lazy)
    assert epochs_of(tmp_path / "r") == [0, 1]
    train(replace(lazy, epochs=12))
    assert epochs_of(tmp_path / "r") == [0, 1]
    assert "more --patience would" in capsys.readouterr().out
    train(replace(lazy, epochs=12, patience=3))
    assert epochs_of(tmp_path / "r") == [0, 1, 2, 3]


def test_a_moved_run_still_knows_its_best_epoch(root: Path, runs: Path, tmp_path: Path) -> None:
    content = torch.load(runs / "r/last.ckpt", weights_only=True)
    (state,) = (s for k, s in content["callbacks"].items() if k.startswith("ModelCheckpoint"))
    assert state["best_model_score"] is not None
    state["best_model_score"] = torch.tensor(99.0)  # so that no epoch is better
    state["best_k_models"] = dict.fromkeys(state["best_k_models"], torch.tensor(99.0))
    state["kth_value"] = torch.tensor(99.0)
    torch.save(content, runs / "r/last.ckpt")
    moved = tmp_path / "elsewhere"
    runs.rename(moved)
    before = (moved / "r/best.ckpt").read_bytes()
    train(settings(root, moved, epochs=3))
    assert epochs_of(moved / "r") == [0, 1, 2]
    assert (moved / "r/best.ckpt").read_bytes() == before


def test_a_relative_and_an_absolute_root_are_the_same_run(
    root: Path, runs: Path, untrained: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    same = settings(Path(root.name), runs)
    train(same)
    train(replace(same, data=replace(same.data, store=Path(root.name, "tracks"))))


def test_the_same_data_elsewhere_is_the_same_run(
    root: Path, runs: Path, untrained: None, tmp_path: Path
) -> None:
    shutil.copytree(root, tmp_path / "copy")
    train(settings(tmp_path / "copy", runs))


def test_other_data_elsewhere_is_another_run(
    root: Path, runs: Path, untrained: None, tmp_path: Path
) -> None:
    shutil.copytree(root, tmp_path / "copy")
    extract_anew(tmp_path / "copy", "1")
    with pytest.raises(UserError, match=r"other settings \(data.root, data.store\)"):
        train(settings(tmp_path / "copy", runs))


INERT = {
    "data": {"workers": 3, "cache": Path("/nowhere"), "folds": 9, "adapt_prior": 7},
    "model": {
        "order": ("va", "expr", "au"),
        "mutual": True,
        "scales": {"au": 1, "expr": 1, "va": 1},
    },
    "loss": {"teaching": "labels", "truth": 0.1, "temperature": 9.0},
    "tasks": {"va": {"bin_values": "ends"}},
}


def changed(one: TrainSettings, section: str, changes: dict) -> TrainSettings:
    """A recipe with other settings in a section."""
    old = getattr(one, section)
    new = merged(old, changes) if section == "tasks" else replace(old, **changes)
    return replace(one, **{section: new})


@pytest.mark.parametrize(
    ("section", "name"), [(section, name) for section, names in INERT.items() for name in names]
)
def test_what_has_no_effect_never_refuses(
    root: Path, runs: Path, untrained: None, section: str, name: str
) -> None:
    one = settings(root, runs)
    before = getattr(one, section)
    assert (before[name] if section == "tasks" else getattr(before, name)) != INERT[section][name]
    train(changed(one, section, {name: INERT[section][name]}))


def test_what_has_no_effect_does_not_stop_a_run_from_going_on(root: Path, runs: Path) -> None:
    one = settings(root, runs, epochs=3)
    for section, changes in INERT.items():
        one = changed(one, section, {k: v for k, v in changes.items() if k != "workers"})
    train(one)
    assert epochs_of(runs / "r") == [0, 1, 2]


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("data", {"window": 25}),
        ("data", {"batch": 3}),
        ("model", {"dropout": 0.1}),
        ("loss", {"weighting": "uncertainty"}),
        ("optimizer", {"warmup": 0.2}),
        ("tasks", {"expr": {"balance": 0.1}}),
        ("tasks", {"au": {"weight": 0.5}}),
        ("tasks", {"va": {"bins": 4}}),
        ("tasks", {"compound": {"weight": 0.0}}),
    ],
)
def test_what_has_an_effect_refuses(
    root: Path, runs: Path, untrained: None, section: str, changes: dict
) -> None:
    ((name, value),) = changes.items()
    inner = f".{next(iter(value))}" if isinstance(value, dict) and name != "compound" else ""
    with pytest.raises(UserError, match=rf"other settings \({section}\.{name}{inner}\)"):
        train(changed(settings(root, runs), section, changes))


def test_settings_of_a_task_that_is_not_learnt_have_no_effect(root: Path, tmp_path: Path) -> None:
    one = settings(root, tmp_path, epochs=1, tasks={"va": {}, "expr": {}, "au": {"weight": 0.0}})
    train(one)
    other = {"loss": "zlpr+bce", "balance": 0.1}
    with pytest.raises(UserError, match=r"other settings \(tasks.expr.balance\)"):
        train(changed(one, "tasks", {"au": other, "expr": {"balance": 0.1}}))
    train(changed(one, "tasks", {"au": other}))  # found finished, with the weights that it had
    train(replace(changed(one, "tasks", {"au": other}), epochs=2))
    assert epochs_of(tmp_path / "r") == [0, 1]


@pytest.fixture
def moving(root: Path, tmp_path: Path) -> Path:
    """A corpus of the test's own."""
    shutil.copytree(root, tmp_path / "moving")
    return tmp_path / "moving"


def extract_anew(root: Path, track_id: str) -> None:
    """Gives a clip other features, under the header that it had."""
    values = np.random.default_rng(5).normal(size=(FRAMES, DIM))
    put(TrackStore(root / "tracks"), "face", track_id, np.arange(FRAMES) / 25, values)


def relabel(root: Path, track_id: str) -> None:
    path = next(root.rglob(f"VA_Estimation_Challenge/*/{track_id}.txt"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "0.111,0.111", *lines[2:]]) + "\n")


@pytest.mark.parametrize("change", [extract_anew, relabel])
@pytest.mark.parametrize("track_id", ["1", "3"])
def test_a_finished_run_says_that_its_data_has_changed(
    moving: Path, tmp_path: Path, change, track_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = settings(moving, tmp_path, epochs=1)
    train(one)
    change(moving, track_id)
    capsys.readouterr()
    train(one)
    said = capsys.readouterr().out
    assert f"labels or tracks of 1 clip ({track_id}) have changed since it was trained" in said
    train(replace(one, fresh=True))
    train(one)
    assert "have changed" not in capsys.readouterr().out


def test_a_killed_run_does_not_go_on_with_other_data(moving: Path, tmp_path: Path) -> None:
    one = settings(moving, tmp_path, epochs=1)
    train(one)
    extract_anew(moving, "2")
    with pytest.raises(UserError, match=r"on other labels or tracks of 1 clip \(2\)"):
        train(replace(one, epochs=2))


def test_a_recipe_with_stages_does_not_overwrite_a_run_of_one(root: Path, runs: Path) -> None:
    before = (runs / "r/best.ckpt").read_bytes()
    with pytest.raises(UserError, match=r"holds a run without stages"):
        train(settings(root, runs, stages=[Stage("a")]))
    assert (runs / "r/best.ckpt").read_bytes() == before


def test_a_run_of_one_does_not_overwrite_a_recipe_with_stages(root: Path, tmp_path: Path) -> None:
    staged = settings(root, tmp_path, epochs=1, stages=[Stage("a")])
    best = train(staged)
    assert load_checkpoint(best)
    with pytest.raises(UserError, match=r"holds a run of a recipe with stages"):
        train(replace(staged, stages=[]))


def test_a_run_of_an_older_version_is_told_by_its_folder(
    root: Path, runs: Path, untrained: None, tmp_path: Path
) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        content = read_payload(runs / "r" / name)
        del content[KEY]["provenance"]["content"]
        torch.save(content, runs / "r" / name)
    (runs / "r" / DONE).write_text("")
    train(settings(root, runs))
    shutil.copytree(root, tmp_path / "copy")
    with pytest.raises(UserError, match=r"other settings \(data.root, data.store\)"):
        train(settings(tmp_path / "copy", runs))
