"""The main job on a very small corpus, from video to table, files and pictures."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from experiments.demo import run_demo
from experiments.demo.corpus import make_demo
from experiments.demo.run_demo import RunDemoSettings
from features.cli.app import OK
from fusion.abaw.reading.annotations import read_truth
from fusion.metrics.official import MetricAccumulator
from fusion.tasks.clips import Clip
from tests.fusion.classic import TASKS, empty_labels


def scores_of_mtl_file(path: Path, truth: Path) -> dict[str, float]:
    """Official scores of a leaderboard file, read as plainly as can be."""
    rows = [line.replace("/", ",").split(",") for line in path.read_text().splitlines()[1:]]
    values: dict[str, list[list[float]]] = {}
    for track_id, _, *row in rows:
        values.setdefault(track_id, []).append([float(text) for text in row])
    metrics = MetricAccumulator(TASKS)
    for clip in read_truth(truth):
        table = np.array(values[clip.id])
        whole = table[:, 2:].astype(int)
        decided = {"va": table[:, :2], "expr": whole[:, 0], "au": whole[:, 1:]}
        metrics.add_decided(clip.labels.resized(len(table)), decided)
    return metrics.scores()


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::fusion.metrics.official.UndefinedScore"
)  # three people are few
def test_the_demo_ends_with_a_table_and_the_files_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_demo, "make_demo", partial(make_demo, seconds=1))
    settings = RunDemoSettings(tmp_path / "demo", tmp_path / "out", epochs=2, clips=3)
    assert run_demo.command(settings) == OK
    out = capsys.readouterr().out
    rows = [line.split("|") for line in out.splitlines() if line.startswith("|")]
    assert [row[1].strip() for row in rows[2:]] == ["constant", *run_demo.MODELS]
    assert all(float(cell) == float(cell) for row in rows[2:] for cell in row[2:-1])
    for challenge in run_demo.CHALLENGES:
        assert f"submission_{challenge}.txt: good" in out
    scores = scores_of_mtl_file(tmp_path / "out/submission_MTL.txt", tmp_path / "demo_truth")
    said = dict(zip(run_demo.COLUMNS, map(float, rows[-1][2:-1]), strict=True))
    assert {key: scores[key] for key in said} == pytest.approx(said, abs=1e-3)
    drawn = {path.stem for path in (tmp_path / "out/timelines").glob("*.png")}
    predicted = {path.stem for path in (tmp_path / "out/predictions").glob("*.parquet")}
    assert drawn == predicted != set()

    assert run_demo.command(settings) == OK
    again = capsys.readouterr().out
    assert "3 ready, 0 to do" in again
    assert again.count("finished before") == len(run_demo.MODELS)
    assert [line for line in again.splitlines() if line.startswith("|")] == [
        line for line in out.splitlines() if line.startswith("|")
    ]


def test_a_constant_says_the_training_mean_and_majority() -> None:
    labels = empty_labels(4)
    labels.va_mask[:] = labels.expr_mask[:] = labels.au_mask[:] = True
    labels.va[:] = np.linspace(-1, 1, 8).reshape(4, 2)
    labels.expr[:] = [3, 3, 3, 0]
    labels.au[:3, 0] = 1
    clip = Clip("1", "1", "train", labels, "1")
    with pytest.warns(UserWarning, match="F1 is 0"):
        scores = run_demo.constant_scores([clip], [clip])
    assert scores["VA"] == 0
    assert scores["EXPR"] == pytest.approx((2 * 3 / 7) / 8)
    assert scores["AU"] == pytest.approx((2 * 3 / 7) / 12)
