"""Every task alone and each pair, from tuning to an ensemble, on a `labels.csv`."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from features.cli.app import run
from features.store.track_store import TrackStore
from fusion import ensemble, evaluate, tune
from fusion.abaw.challenges import TASKS
from fusion.ensemble import EnsembleSettings
from fusion.evaluate import EvaluateSettings, second_pred_as_against
from fusion.inference.checkpoint import load_checkpoint
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from fusion.training.cross_validation import OUT_OF_FOLD, train_several
from fusion.training.stages import train
from fusion.tune import TuneSettings
from tests.fusion.small_corpora import put
from tests.fusion.training.test_selection import settings

pytestmark = [
    pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore"),
    pytest.mark.filterwarnings("error:invalid value"),
    pytest.mark.filterwarnings("error:Mean of empty"),
    pytest.mark.filterwarnings("error:divide by zero"),
]
FRAMES = 40
SPLITS = ["train", "train", "validation", "validation"]
SOME_UNITS = UNITS[:3]
SUBSETS = [*combinations(TASKS, 1), *combinations(TASKS, 2)]


def write_table(root: Path, tasks: tuple[str, ...]) -> Path:
    """Four videos of four people, three classes, three units; tracks that tell the labels."""
    columns = {"VA": ("valence", "arousal"), "EXPR": ("expression",), "AU": SOME_UNITS}
    names = ["id", "split", "frame", *(name for task in tasks for name in columns[task])]
    lines = [",".join(names)]
    store = TrackStore(root / "tracks")
    for number, split in enumerate(SPLITS):
        phase = np.linspace(0, 9, FRAMES) + number
        state = np.stack([np.sin(phase), np.cos(1.3 * phase), np.sin(2 * phase)], axis=1) * 0.9
        times = np.arange(FRAMES) / 25
        put(store, "faces", f"v{number}", times)
        put(store, "face", f"v{number}", times, np.tile(state, 2))
        put(store, "voice", f"v{number}", times + 0.01, state**2, person="sound")
        for frame, row in enumerate(state, 1):
            cells = {
                "VA": [f"{v:.3f}" for v in row[:2]],
                "EXPR": [EXPRESSIONS[(0, 4, 5)[int(row.argmax())]]],
                "AU": [str(int(v > 0)) for v in row],
            }
            said = [cell for task in tasks for cell in cells[task]]
            lines.append(",".join([f"v{number}", split, str(frame), *said]))
    root.mkdir(exist_ok=True)
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def call(*argv: object) -> int:
    words = second_pred_as_against([str(word) for word in argv])
    with pytest.raises(SystemExit) as stop:
        run(EvaluateSettings, evaluate.command, prog="t", description="", argv=words)
    return int(stop.value.code or 0)


def values(line: str) -> dict[str, str]:
    words = line.split()
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize("tasks", SUBSETS, ids="+".join)
def test_every_command_does_with_the_tasks_that_there_are(
    tasks: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_table(tmp_path / "corpus", tasks)
    recipe = settings(root, tmp_path / "runs", epochs=1)
    best = train(recipe)
    lower = [task.lower() for task in tasks]
    assert load_checkpoint(best).learnt == lower
    absent = [task for task in TASKS if task not in tasks]

    found, missing = tune.tune(TuneSettings(best, replace(TuneSettings().data, root=root), folds=2))
    assert not missing
    assert set(found.tuned) <= set(lower)
    cells = {line.split()[0]: line.split()[1:] for line in tune.table(found)[1:5]}
    assert all(cells[task] == ["-"] * 5 for task in absent)
    assert "-" not in cells["P"]

    capsys.readouterr()
    out = tmp_path / "out"
    assert call("--checkpoint", best, "--data.root", root, "--out", out, "--draws", 20) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = values(lines[0])
    assert {task for task in TASKS if shown[task] == "-"} == set(absent)
    total = sum(float(shown[task]) for task in tasks)
    assert float(shown["P"]) == pytest.approx(total, abs=2e-3)
    classes = values(lines[1])
    assert [name for name in classes if name in EXPRESSIONS] == (
        ["Neutral", "Happiness", "Sadness"] if "EXPR" in tasks else list(EXPRESSIONS)
    )
    labelled = {"EXPR": {"Neutral", "Happiness", "Sadness"}, "AU": set(SOME_UNITS)}
    there = set().union(*(labelled.get(task, set()) for task in tasks))
    assert {name for name, value in classes.items() if value != "-"} == there
    for task, words in {"EXPR": "over the 3 classes", "AU": "over the 3 units"}.items():
        assert any(words in line for line in lines) == (task in tasks)
    scores = json.loads((out / "scores.json").read_text())["scores"]
    assert all(scores[task] is None for task in absent)
    report = (out / "report.md").read_text()
    assert "nan" not in report
    for task, title in zip(
        TASKS, ("Valence and arousal", "Expressions", "Action units"), strict=True
    ):
        section = report.split(f"## {title}\n")[1].split("## ")[0]
        assert ("No labels." in section) == (task in absent)


@pytest.mark.parametrize("tasks", SUBSETS, ids="+".join)
def test_folds_and_ensembles_do_with_the_tasks_that_there_are(
    tasks: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_table(tmp_path / "corpus", tasks)
    runs = tmp_path / "runs"
    recipe = settings(root, runs, epochs=1, folds=2)
    names = ("a", "b")
    for seed, name in enumerate(names):
        scores = train_several(replace(recipe, name=name, seed=seed))
        assert {task for task in TASKS if np.isnan(scores[task])} == set(TASKS) - set(tasks)
        whole = train(replace(recipe, name=f"{name}-all", seed=seed, folds=0))
    folders = [runs / name / OUT_OF_FOLD for name in names]
    for choice in ({"select": "forward"}, {"weights": "score"}, {}):
        members = [runs / f"{name}-all/best.ckpt" for name in names]
        made = ensemble.ensemble(
            EnsembleSettings(
                members,
                tmp_path / "-".join(["ensemble", *choice.values()]),
                split="validation",
                labelled=folders if choice else [],
                data=replace(EnsembleSettings().data, root=root),
                **choice,  # type: ignore[arg-type]
            )
        )
        said = json.loads((made / ensemble.REPORT).read_text())
        assert all(set(of_tasks) == set(tasks) for of_tasks in said["scores"].values())
        capsys.readouterr()
        assert call("--pred", made, "--data.root", root, "--draws", 0) == 0
        shown = values(capsys.readouterr().out.splitlines()[0])
        assert {task for task in TASKS if shown[task] == "-"} == set(TASKS) - set(tasks)
    pair = ("--pred", made, "--pred", folders[0], "--data.root", root, "--out", tmp_path / "pair")
    assert call(*pair, "--draws", 20) == 0
    assert whole.is_file()
