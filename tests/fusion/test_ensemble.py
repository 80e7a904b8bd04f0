"""Ensembles: how members are averaged, weighed and judged, and what is refused."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from features.cli.app import run
from fusion import ensemble
from fusion.data.prediction_files import list_predictions, read_predictions
from fusion.data.prediction_files import write_predictions as write
from fusion.data.predictions import FramePredictions
from fusion.ensemble import MEMBERS, REPORT, EnsembleSettings
from fusion.ensembling import weights as ensemble_weights
from fusion.ensembling.averaging import FolderMoments, blend, equal_weights
from fusion.ensembling.weights import CHOOSERS, collect, cross_fitted, forward, member_scores
from fusion.metrics.official import ccc
from fusion.tasks.clips import Clip
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.registry import default_tasks, make_tasks
from tests.fusion.classic import classic_labels, classic_predictions
from tests.fusion.tiny import CLIPS, FRAMES, TEST, write_corpus

TASKS = default_tasks()
TITLES = [task.title for task in TASKS.values()]


def predictions(name: str = "1", seed: int = 0, frames: int = FRAMES, **parts) -> FramePredictions:
    rng = np.random.default_rng(seed)
    made = {
        "id": name,
        "video": name.partition("_")[0],
        "times": np.arange(frames) / 25,
        "face": rng.random(frames) < 0.5,
        "va": rng.uniform(-0.5, 0.5, (frames, 2)).astype(np.float32),
        "expr": rng.dirichlet(np.ones(8), frames).astype(np.float32),
        "au": rng.random((frames, 12), dtype=np.float32),
        "thresholds": rng.uniform(0.2, 0.8, 12).astype(np.float32),
        "provenance": {"checkpoint": f"rev{seed}", "stream face": "net r1"},
    }
    return classic_predictions(**(made | parts))


def with_values(one: FramePredictions, **values: np.ndarray) -> FramePredictions:
    """The predictions with other values of some tasks, which may be new to them."""
    tasks = {**one.tasks, **make_tasks(dict.fromkeys(values.keys() - one.tasks.keys()))}
    return replace(one, tasks=tasks, values={**one.values, **values})


def statistics(*folders: list[FramePredictions]):
    """Of members, each a list of clips."""
    moments = FolderMoments(TASKS, len(folders))
    for clips in zip(*folders, strict=True):
        moments.add(clips)
    return moments.statistics()


def blended(*members: FramePredictions, weights=None) -> FramePredictions:
    tasks = members[0].tasks
    weights = weights or equal_weights(tasks, len(members))
    return blend(members, tasks, weights, statistics(*([one] for one in members)), {})


def weighing(shares: list[float]) -> dict[str, np.ndarray]:
    return dict.fromkeys(TASKS, np.array(shares) / sum(shares))


@examples(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=4), st.integers(0, 99))
def test_members_that_agree_are_the_ensemble(shares: list[float], seed: int) -> None:
    one = predictions(seed=seed)
    both = blended(*[one] * len(shares), weights=weighing(shares))
    for name in TASKS:
        np.testing.assert_allclose(both.values[name], one.values[name], atol=1e-5)
    np.testing.assert_allclose(both.thresholds["au"], one.thresholds["au"], atol=1e-5)


def test_probabilities_are_averaged_as_logarithms_and_odds() -> None:
    a, b = predictions(seed=1), predictions(seed=2)
    both = blended(a, b, weights=weighing([3, 1]))
    product = (
        a.values["expr"].astype(np.float64) ** 0.75 * b.values["expr"].astype(np.float64) ** 0.25
    )
    np.testing.assert_allclose(
        both.values["expr"], product / product.sum(1, keepdims=True), rtol=1e-4
    )
    odds = [
        p.values["au"].astype(np.float64) / (1 - p.values["au"].astype(np.float64)) for p in (a, b)
    ]
    mean = odds[0] ** 0.75 * odds[1] ** 0.25
    np.testing.assert_allclose(both.values["au"], mean / (1 + mean), rtol=1e-4)


@examples(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(2, 4))
def test_what_all_members_decide_the_ensemble_decides(seed: int, count: int) -> None:
    members = [predictions(seed=seed * 10 + i) for i in range(count)]
    both = blended(*members)
    votes = np.mean([one.decided("au") for one in members], axis=0)
    assert both.decided("au")[votes == 1].all()
    assert not both.decided("au")[votes == 0].any()


def test_certainty_of_one_member_stays_finite() -> None:
    sure = predictions(
        expr=np.eye(8, dtype=np.float32)[np.zeros(FRAMES, int)],
        au=np.ones((FRAMES, 12), np.float32),
    )
    both = blended(sure, predictions(seed=1))
    assert np.isfinite(both.values["expr"]).all()
    assert (both.decided("expr") == 0).mean() > 0.9


def test_valence_and_arousal_are_centred_over_the_whole_folder() -> None:
    scales = [(0.3, 0.1), (0.8, -0.2), (0.5, 0.0)]
    folders = [
        [
            predictions(
                name,
                va=(predictions(seed=10 * m + c).values["va"] * scale + shift + 0.1 * c).astype(
                    np.float32
                ),
            )
            for c, name in enumerate(("1", "2"))
        ]
        for m, (scale, shift) in enumerate(scales)
    ]
    weights = weighing([2, 1, 1])
    stats = statistics(*folders)
    both = np.concatenate(
        [blend(c, TASKS, weights, stats, {}).values["va"] for c in zip(*folders, strict=True)]
    )

    whole = np.stack([np.concatenate([clip.values["va"] for clip in f]) for f in folders]).astype(
        np.float64
    )
    mean, deviation = whole.mean(1), whole.std(1)
    centred = np.tensordot(weights["va"], (whole - mean[:, None]) / deviation[:, None], axes=1)
    expected = centred / centred.std(0) * (weights["va"] @ deviation) + weights["va"] @ mean
    np.testing.assert_allclose(both, expected, atol=1e-5)
    np.testing.assert_allclose(both.std(0), weights["va"] @ deviation, atol=1e-5)


def test_averaging_does_not_shrink_valence_and_arousal() -> None:
    members = [predictions(seed=seed, frames=400) for seed in range(3)]
    deviations = [one.values["va"].std(0) for one in members]
    plain = np.mean([one.values["va"] for one in members], axis=0)
    assert plain.std() < 0.7 * np.mean(deviations)
    np.testing.assert_allclose(
        blended(*members).values["va"].std(0), np.mean(deviations, 0), rtol=0.02
    )


def test_a_constant_member_adds_its_mean_alone() -> None:
    moving, constant = predictions(), predictions(va=np.full((FRAMES, 2), 0.4, np.float32))
    both = blended(moving, constant)
    expected = (
        moving.values["va"].mean(0) / 2
        + 0.2
        + (moving.values["va"] - moving.values["va"].mean(0)) / 2
    )
    np.testing.assert_allclose(both.values["va"], expected, atol=1e-4)


def labelled(people: int = 6, frames: int = 60, seed: int = 0) -> list[Clip]:
    rng = np.random.default_rng(seed)
    clips = []
    for i in range(people):
        rows = {
            "va": rng.uniform(-0.8, 0.8, (frames, 2)),
            "expr": rng.integers(0, 8, frames),
            "au": rng.integers(0, 2, (frames, 12)),
        }
        shapes = {"va": frames, "expr": frames, "au": (frames, 12)}
        masks = {f"{task}_mask": rng.random(shape) < 0.8 for task, shape in shapes.items()}
        labels = classic_labels(**rows, **masks)
        clips.append(Clip(str(i), str(i), "validation", labels, f"p{i}"))
    return clips


def guess(clip: Clip, seed: int, **skill: float) -> FramePredictions:
    """Noise, and of each task as much truth as its skill."""
    labels, noise = clip.labels, predictions(clip.id, seed + 100 * int(clip.id), len(clip.labels))
    va, expr, au = (skill.get(task, 0.0) for task in ("va", "expr", "au"))
    mixed = {
        "va": va * labels["va"].values + (1 - va) * noise.values["va"],
        "expr": expr * np.eye(8)[labels["expr"].values] + (1 - expr) * noise.values["expr"],
        "au": au * labels["au"].values + (1 - au) * noise.values["au"],
    }
    values = {task: rows.astype(np.float32) for task, rows in mixed.items()}
    return replace(noise, values=values, thresholds={"au": np.full(12, 0.5, np.float32)})


def frames_of(clips: list[Clip], *skills: dict[str, float]):
    by_id = {clip.id: clip for clip in clips}
    return collect(clips, TASKS, lambda i: [guess(by_id[i], n, **s) for n, s in enumerate(skills)])


def test_each_task_takes_the_members_that_are_good_at_it() -> None:
    frames = frames_of(labelled(), {"va": 0.6}, {"expr": 0.4}, {"au": 0.4}, {})
    chosen = {task: forward(one) for task, one in frames.items()}
    assert [chosen[task].argmax() for task in TASKS] == [0, 1, 2]
    assert all(weights[3] < 0.5 for weights in chosen.values())
    for task, one in frames.items():
        assert one.score(one.said(chosen[task])) >= max(member_scores(one))


def test_weights_by_score_follow_the_scores_of_each_task() -> None:
    frames = frames_of(labelled(), {"va": 0.6}, {"expr": 0.4, "va": 0.2})
    for task, one in frames.items():
        scores = np.array(member_scores(one)).clip(0)
        np.testing.assert_allclose(CHOOSERS["score"](one), scores / scores.sum(), err_msg=task)


def test_member_scores_are_the_official_ones() -> None:
    clips = labelled()
    one = frames_of(clips, {"va": 0.5}, {})["va"]
    seen = [clip.labels["va"].mask for clip in clips]
    truth, said = (
        np.concatenate([v[m] for v, m in zip(values, seen, strict=True)])
        for values in (
            [c.labels["va"].values for c in clips],
            [guess(c, 0, va=0.5).values["va"] for c in clips],
        )
    )
    expected = np.mean([ccc(truth[:, i], said[:, i]) for i in range(2)])
    assert member_scores(one)[0] == pytest.approx(expected, abs=1e-5)


def test_choosing_among_noise_gains_in_sample_only() -> None:
    one = frames_of(labelled(frames=15), *[{}] * 12)["va"]
    in_sample = one.score(one.said(forward(one)))
    assert in_sample > max(member_scores(one))
    assert cross_fitted(one, forward) < in_sample - 0.05


def test_nobody_is_judged_with_weights_chosen_on_him() -> None:
    one = frames_of(labelled(people=7), {}, {})["expr"]
    shown = []

    def spy(frames) -> np.ndarray:
        shown.append(set(frames.fold))
        return CHOOSERS["equal"](frames)

    cross_fitted(one, spy)
    folds = set(one.fold)
    assert len(folds) == ensemble_weights.FOLDS
    assert sorted(map(sorted, shown)) == sorted(sorted(folds - {fold}) for fold in folds)


def test_cross_fitting_with_fixed_weights_changes_nothing() -> None:
    for one in frames_of(labelled(), {"va": 0.5}, {"au": 0.5}).values():
        direct = one.score(one.said(CHOOSERS["equal"](one)))
        assert cross_fitted(one, CHOOSERS["equal"]) == pytest.approx(direct)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Exit status of the command and what it complained of; one line at most."""

    def called(*argv: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            run(
                EnsembleSettings, ensemble.command, prog="t", description="",
                argv=[str(word) for word in argv],
            )  # fmt: skip
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("t: ")]
        assert len(lines) <= 1
        return int(stop.value.code or 0), "".join(lines)

    return called


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tiny"))


def folders(where: Path, ids=("1", "2"), count: int = 2) -> tuple[list[Path], str]:
    """Members' folders, and the same as a word of the command line."""
    paths = [where / f"member{m}" for m in range(count)]
    for m, path in enumerate(paths):
        for c, name in enumerate(ids):
            write(predictions(name, seed=10 * m + c), path)
    return paths, f"[{','.join(map(str, paths))}]"


def test_folders_become_one_folder_that_names_all_members(tmp_path: Path, call) -> None:
    _, words = folders(tmp_path)
    assert call("--members", words, "--out", tmp_path / "out") == (0, "")
    made = list_predictions(tmp_path / "out")
    assert list(made) == ["1", "2"]
    provenance = read_predictions(made["2"]).provenance
    assert provenance["checkpoint"] == "rev1"
    assert provenance["checkpoint #2"] == "rev11"
    assert provenance["stream face"] == "net r1"
    assert "stream face #2" not in provenance
    assert "member1 VA 0.500" in provenance["ensemble"]
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert list(report["weights"]["AU"].values()) == [0.5, 0.5]


def lack_a_clip(folder: Path) -> None:
    (folder / "2.parquet").unlink()


def lack_a_frame(folder: Path) -> None:
    write(predictions("2", seed=5, frames=FRAMES - 1), folder)


def shift_times(folder: Path) -> None:
    write(predictions("2", seed=5, times=np.arange(FRAMES) / 30), folder)


def lack_a_column(folder: Path) -> None:
    path = folder / "1.parquet"
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).drop_columns(["Other"]), path)


def know_seven_classes(folder: Path) -> None:
    for name in ("1", "2"):
        expr = read_predictions(folder / f"{name}.parquet").values["expr"].copy()
        expr[:, 0] += expr[:, 7]
        expr[:, 7] = 0
        write(predictions(name, seed=5, expr=expr), folder)


def be_empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lack_a_clip, "no predictions of 1 of 2 clips, such as '2'"),
        (lack_a_frame, "39 frames of '2', but 40 in"),
        (shift_times, "other times of '2'"),
        (lack_a_column, "member1/1.parquet: damaged or not predictions"),
        (know_seven_classes, "another set of labels (no Other on any frame)"),
        (be_empty, "no predictions in it"),
    ],
)
def test_members_that_do_not_fit_are_named(spoil, complaint: str, tmp_path: Path, call) -> None:
    paths, words = folders(tmp_path)
    spoil(paths[1])
    status, line = call("--members", words, "--out", tmp_path / "out")
    assert status == 1
    assert complaint in line
    assert "member1" in line
    assert not list((tmp_path / "out").glob("*.parquet"))


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--members", "[a]"], "at least two"),
        (["--members", "[a,b]", "--weights", "score", "--select", "forward"], "one of them"),
        (["--members", "[a,b]", "--labelled", "[c]"], "each of the 2 members"),
        (["--members", "[a,b]", "--out", "a"], "member's folder"),
        (["--members", "[absent,gone]", "--split", "test"], "absent"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(argv, complaint: str, root, call) -> None:
    status, line = call(*argv, "--data.root", root)
    assert status == 1
    assert complaint in line


def test_a_folder_with_other_clips_is_not_mixed_up(tmp_path: Path, call) -> None:
    _, words = folders(tmp_path)
    write(predictions("9"), tmp_path / "out")
    status, line = call("--members", words, "--out", tmp_path / "out")
    assert status == 1
    assert "other clips, such as '9'" in line


@pytest.mark.parametrize("choice", [["--select", "forward"], ["--weights", "score"]])
def test_both_figures_are_reported(choice, root: Path, tmp_path: Path, call) -> None:
    _, words = folders(tmp_path / "test", TEST)
    for m in range(2):
        for number, (name, frames) in enumerate(TEST.items()):
            write(predictions(name, number + m, frames), tmp_path / f"test/member{m}")
    _, honest = folders(tmp_path / "oof", CLIPS)
    argv = ["--members", words, "--labelled", honest, "--data.root", root, *choice]
    assert call(*argv, "--out", tmp_path / "out", "--split", "test")[0] == 0
    assert list(list_predictions(tmp_path / "out")) == sorted(TEST)
    scores = json.loads((tmp_path / "out" / REPORT).read_text())["scores"]
    name = choice[1]
    assert {"all, equal", f"{name}, in-sample", f"{name}, cross-fitted"} < set(scores)
    assert set(scores["all, equal"]) == set(TITLES)


@pytest.fixture(scope="module")
def checkpoints(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of two folds."""
    from fusion.training.cross_validation import fold_settings
    from fusion.training.stages import train
    from tests.fusion.training.test_cross_validation import settings

    asked = settings(root, tmp_path_factory.mktemp("runs"))
    return [train(one) for one in fold_settings(asked)]


def test_checkpoints_predict_once_and_are_combined(
    checkpoints: list[Path], root: Path, tmp_path: Path, call, monkeypatch
) -> None:
    words = f"[{','.join(map(str, checkpoints))}]"
    argv = ["--members", words, "--data.root", root, "--split", "test", "--out", tmp_path / "out"]
    assert call(*argv) == (0, "")
    made = {i: read_predictions(p) for i, p in list_predictions(tmp_path / "out").items()}
    assert {name: len(one) for name, one in made.items()} == TEST
    assert len(list((tmp_path / "out" / MEMBERS).iterdir())) == 2

    def never(*_: object) -> None:
        raise AssertionError("predicted again")

    monkeypatch.setattr("fusion.inference.predictor.predict_clips", never)
    assert call(*argv) == (0, "")
    again = read_predictions(tmp_path / "out/5.parquet")
    np.testing.assert_array_equal(again.values["expr"], made["5"].values["expr"])


def test_weights_are_not_chosen_on_clips_that_a_member_was_trained_on(
    checkpoints: list[Path], root: Path, tmp_path: Path, call
) -> None:
    words = f"[{','.join(map(str, checkpoints))}]"
    status, line = call(
        "--members", words, "--data.root", root, "--split", "test", "--out", tmp_path / "out",
        "--weights", "score",
    )  # fmt: skip
    assert status == 1
    assert "was trained on" in line
    assert "--labelled" in line


def test_sigmoids_are_averaged_as_log_odds_where_all_members_have_them() -> None:
    shares = np.array([0.8, 0.5, 0.2, 0.1, 0.9, 0.5], np.float32)
    first = predictions(seed=1, compound=np.tile(shares, (FRAMES, 1)))
    second = predictions(seed=2, compound=np.tile(shares[::-1], (FRAMES, 1)).copy())
    both = blended(first, second, weights=weighing([3, 1]))
    odds = shares.astype(np.float64) / (1 - shares.astype(np.float64))
    mean = odds**0.75 * odds[::-1] ** 0.25
    np.testing.assert_allclose(
        both.values["compound"], np.tile(mean / (1 + mean), (FRAMES, 1)), rtol=1e-5
    )
    sure = with_values(second, compound=np.ones((FRAMES, 6), np.float32))
    assert np.isfinite(blended(first, sure).values["compound"]).all()


def members_of(where: Path, *of: FramePredictions) -> tuple[list[Path], str]:
    """A folder for each, with that one clip."""
    paths = [where / f"member{number}" for number in range(len(of))]
    for path, one in zip(paths, of, strict=True):
        write(one, path)
    return paths, f"[{','.join(map(str, paths))}]"


def only(one: FramePredictions, *tasks: str) -> FramePredictions:
    """The predictions of some tasks alone."""
    return replace(
        one,
        tasks={name: one.tasks[name] for name in tasks},
        values={name: one.values[name] for name in tasks},
        thresholds={n: limits for n, limits in one.thresholds.items() if n in tasks},
    )


def test_an_ensemble_has_no_sigmoids_where_a_member_lacks_them(
    tmp_path: Path, call, capsys
) -> None:
    with_them = predictions(seed=1, compound=np.full((FRAMES, 6), 0.5, np.float32))
    for number, some in enumerate(([with_them, predictions()], [predictions(), with_them])):
        _, words = members_of(tmp_path / str(number), *some)
        out = tmp_path / str(number) / "out"
        with pytest.raises(SystemExit):
            run(
                EnsembleSettings, ensemble.command, prog="t", description="",
                argv=["--members", words, "--out", str(out)],
            )  # fmt: skip
        assert "not in all members, so left out: CE\n" in capsys.readouterr().out
        assert list(read_predictions(out / "1.parquet").values) == list(TASKS)


def test_members_with_other_tasks_give_what_they_share(tmp_path: Path, call) -> None:
    a, b = only(predictions(seed=1), "va", "expr"), only(predictions(seed=2), "expr", "au")
    _, words = members_of(tmp_path, a, b)
    assert call("--members", words, "--out", tmp_path / "out") == (0, "")
    one = read_predictions(tmp_path / "out/1.parquet")
    assert list(one.tasks) == ["expr"]
    expected = blended(predictions(seed=1), predictions(seed=2)).values["expr"]
    np.testing.assert_allclose(one.values["expr"], expected, rtol=1e-5)
    assert list(json.loads((tmp_path / "out" / REPORT).read_text())["weights"]) == ["EXPR"]


def test_members_that_share_no_task_are_refused(tmp_path: Path, call) -> None:
    a, b = only(predictions(seed=1), "va"), only(predictions(seed=2), "expr", "au")
    (first, second), words = members_of(tmp_path, a, b)
    status, line = call("--members", words, "--out", tmp_path / "out")
    assert status == 1
    assert f"must share a task ({first}: VA; {second}: EXPR, AU)" in line
    assert not (tmp_path / "out" / REPORT).exists()


def test_a_file_that_lacks_a_task_of_its_folder_is_named(tmp_path: Path, call) -> None:
    paths, words = folders(tmp_path)
    write(only(predictions("2"), "expr", "au"), paths[1])
    status, line = call("--members", words, "--out", tmp_path / "out")
    assert status == 1
    assert f"{paths[1] / '2.parquet'}: made for another set of labels (no valence, arousal)" in line


# Tasks that settings name


def test_classes_of_other_names_are_not_averaged(tmp_path: Path, call) -> None:
    halves = np.full((FRAMES, 2), 0.5, np.float32)
    said = [
        replace(
            predictions(),
            tasks=make_tasks({"emotions": {"classes": names}}),
            values={"emotions": halves},
            thresholds={},
        )
        for names in (["calm", "tense"], ["calm", "bored"], ["calm", "tense"])
    ]
    _, words = members_of(tmp_path / "unlike", *said[:2])
    status, line = call("--members", words, "--out", tmp_path / "out")
    assert status == 1
    assert "member1: made for another set of labels (no emotion_tense)" in line
    _, words = members_of(tmp_path / "alike", *said[::2])
    assert call("--members", words, "--out", tmp_path / "out") == (0, "")
    one = read_predictions(tmp_path / "out/1.parquet")
    np.testing.assert_allclose(one.values["emotions"], halves)


COMFORT = make_tasks(
    {"values": {"names": ["comfort", "ease"], "low": 0.0, "high": 10.0, "level": "clip"}}
)
"""From 0 to 10, a clip as a whole."""


def comfortable(clip: Clip, seed: int, skill: float) -> FramePredictions:
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0, 10, (len(clip.labels), 2))
    values = skill * clip.labels["values"].values + (1 - skill) * noise
    return FramePredictions(
        id=clip.id,
        video=clip.video,
        times=np.arange(len(noise)) / 25,
        face=np.ones(len(noise), bool),
        tasks=COMFORT,
        values={"values": values.astype(np.float32)},
    )


def test_a_task_that_settings_name_is_averaged_and_weighed_by_its_kind() -> None:
    rng, frames = np.random.default_rng(0), 30
    truth = rng.uniform(2, 8, (8, 2)).astype(np.float32)
    rows = [TaskLabels(np.tile(one, (frames, 1)), np.ones((frames, 2), bool)) for one in truth]
    clips = [
        Clip(str(i), str(i), "validation", FrameLabels(frames, {"values": one}), f"p{i}")
        for i, one in enumerate(rows)
    ]
    by_id = {clip.id: clip for clip in clips}

    def said(name: str) -> list[FramePredictions]:
        return [comfortable(by_id[name], int(name) + 50 * m, 0.3 * (2 - m)) for m in range(2)]

    one = collect(clips, COMFORT, said)["values"]
    scores = member_scores(one)
    for member, score in enumerate(scores):
        means = np.stack([said(c.id)[member].values["values"].mean(axis=0) for c in clips])
        expected = np.mean([ccc(truth[:, i], means[:, i]) for i in range(2)])
        assert score == pytest.approx(expected, abs=1e-4)
    assert scores[0] > scores[1]
    np.testing.assert_allclose(CHOOSERS["score"](one), np.array(scores) / sum(scores))
    moments = FolderMoments(COMFORT, 2)
    for clip in clips:
        moments.add(said(clip.id))
    both = blend(said("3"), COMFORT, {"values": np.array([1.0, 0.0])}, moments.statistics(), {})
    np.testing.assert_allclose(both.values["values"], said("3")[0].values["values"], atol=1e-4)


# What members know, and whose scores weigh them


def told(where: Path, ids: Iterable[str], **said: str) -> Path:
    for number, name in enumerate(ids):
        write(predictions(name, number, TEST.get(name, FRAMES), provenance=said), where)
    return where


def test_scores_of_another_member_are_refused(root: Path, tmp_path: Path, call) -> None:
    a, b = (told(tmp_path / f"test/{name}", TEST, recipe=name) for name in "ab")
    own, other = (told(tmp_path / f"oof/{name}", CLIPS, recipe=name) for name in "ab")
    argv = ["--data.root", root, "--out", tmp_path / "out", "--split", "test", "--weights", "score"]
    assert call("--members", f"[{a},{b}]", "--labelled", f"[{own},{other}]", *argv)[0] == 0
    status, line = call("--members", f"[{a},{b}]", "--labelled", f"[{other},{own}]", *argv)
    assert status == 1
    assert "oof/b is of another recipe than the member" in line
    assert "it belongs to" in line


def test_scores_of_clips_that_a_member_was_trained_on_are_refused(
    root: Path, tmp_path: Path, call
) -> None:
    a, b = (told(tmp_path / f"test/{name}", TEST) for name in "ab")
    own, seen = told(tmp_path / "oof/a", CLIPS), told(tmp_path / "oof/b", CLIPS, trained="AU")
    argv = ["--data.root", root, "--out", tmp_path / "out", "--split", "test", "--weights", "score"]
    status, line = call("--members", f"[{a},{b}]", "--labelled", f"[{own},{seen}]", *argv)
    assert status == 1
    assert "oof/b: was trained on" in line


@pytest.mark.parametrize("choice", [[], ["--weights", "score"], ["--select", "forward"]])
def test_members_have_no_weight_in_what_they_have_not_learnt(
    choice: list[str], root: Path, tmp_path: Path, call
) -> None:
    learnt = {"a": "VA AU", "b": "EXPR AU"}
    test = [told(tmp_path / f"test/{n}", TEST, learnt=said) for n, said in learnt.items()]
    judges = [told(tmp_path / f"oof/{n}", CLIPS, learnt=said) for n, said in learnt.items()]
    words = ["--labelled", f"[{judges[0]},{judges[1]}]"] if choice else []
    argv = ["--members", f"[{test[0]},{test[1]}]", "--data.root", root, "--split", "test", *words]
    assert call(*argv, *choice, "--out", tmp_path / "out") == (0, "")
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    weights = {task: list(report["weights"][task].values()) for task in TITLES}
    assert weights["VA"] == [1, 0]
    assert weights["EXPR"] == [0, 1]
    assert sum(weights["AU"]) == pytest.approx(1)
    one = read_predictions(tmp_path / "out/5.parquet")
    first, second = (read_predictions(folder / "5.parquet") for folder in test)
    np.testing.assert_allclose(one.values["va"], first.values["va"], atol=1e-5)
    np.testing.assert_allclose(one.values["expr"], second.values["expr"], atol=1e-5)
