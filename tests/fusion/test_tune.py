"""What is chosen on validation: cross-fitted over people, kept in the checkpoint, applied after."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from features.cli.app import run
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion import tune
from fusion.abaw.reading.annotations import read_corpus
from fusion.data.loading.config import DataSettings
from fusion.data.loading.datamodule import AffectDataModule
from fusion.evaluation.scored_clips import CorpusSettings
from fusion.inference.checkpoint import load_checkpoint, write_decision
from fusion.inference.network import PREFIX
from fusion.inference.payload import KEY, make_payload
from fusion.inference.predictor import predict_clips, raw_scores
from fusion.metrics.official import MetricAccumulator
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings
from fusion.postprocess.decision import Decision, RawScores
from fusion.postprocess.tuning import CANDIDATES, Pool, cross_fitted, tune_clips
from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.deciding.binary import BinaryDecision
from fusion.tasks.deciding.classes import ClassesDecision
from fusion.tasks.deciding.interface import TaskDecision
from fusion.tasks.deciding.smoothing import NONE, Smoothing
from fusion.tune import TuneSettings
from tests.fusion.classic import TASKS, empty_labels, split_columns
from tests.fusion.tiny import write_corpus

TITLES = ("VA", "EXPR", "AU")
NEUTRAL = Decision.neutral(TASKS)
CHOSEN = Decision(
    TASKS,
    {
        "va": TaskDecision(Smoothing("box", 0.5)),
        "expr": ClassesDecision(NONE, 0.5, tuple(np.linspace(-2, 2, 8).tolist())),
        "au": BinaryDecision(Smoothing("gaussian", 0.2, interpolate=True), (0.25,) * 12),
    },
)


def people(count: int, frames: int, noise: float, seed: int = 0) -> list[RawScores]:
    """Clips of different people; the scores are the truth plus noise, and only noise for inf."""
    rng = np.random.default_rng(seed)
    return [person(str(index), frames, noise, rng) for index in range(count)]


def person(name: str, frames: int, noise: float, rng: np.random.Generator) -> RawScores:
    slow = np.repeat(rng.normal(size=(frames // 20, 22)), 20, axis=0)
    labels = empty_labels(frames)
    labels.va[:], labels.va_mask[:] = np.tanh(slow[:, :2]), True
    labels.expr[:], labels.expr_mask[:] = slow[:, 2:10].argmax(axis=1), True
    labels.au[:], labels.au_mask[:] = slow[:, 10:] > 0, True
    told = rng.normal(size=slow.shape)
    scores = told if np.isinf(noise) else slow + noise * told
    scores[:, :2] = np.tanh(scores[:, :2])
    face = rng.random(frames) > 0.1
    clip = Clip(name, name, "validation", labels, name)
    by_task = dict(split_columns(scores.astype(np.float32)))
    return RawScores(clip, np.arange(frames) / 30, face, by_task)


def scores_of(decision: Decision, raws: list[RawScores]) -> dict[str, float]:
    """Official scores by the way that predictions go."""
    metrics = MetricAccumulator(TASKS)
    for raw in raws:
        values = decision.apply(raw)
        on = values["au"] >= np.array(decision.by_task["au"].thresholds, np.float32)
        decided = {"va": values["va"], "expr": values["expr"].argmax(axis=1), "au": on}
        metrics.add_decided(raw.clip.labels, decided)
    return {name: metrics.scores()[name] for name in (*TITLES, "P")}


def test_noisy_scores_of_slow_states_are_smoothed_in_every_task() -> None:
    raws = people(8, 200, noise=1.5)
    tuned = tune_clips(raws, TASKS, 4)
    assert tuned.tuned == tuple(TASKS)
    for task in TASKS:
        assert tuned.decision.by_task[task].smoothing.kind != "none"
    assert tuned.cross_fitted["P"] > tuned.neutral["P"] + 0.2
    assert tuned.quoted == tuned.cross_fitted


def test_the_printed_figures_are_those_that_predictions_get() -> None:
    raws = people(6, 120, noise=1.5)
    tuned = tune_clips(raws, TASKS, 3)
    assert tuned.neutral == pytest.approx(scores_of(NEUTRAL, raws))
    assert tuned.in_sample == pytest.approx(scores_of(tuned.decision, raws))


def test_on_pure_noise_only_the_in_sample_figure_gains() -> None:
    tuned = tune_clips(people(8, 200, noise=np.inf), TASKS, 4)
    for task in ("EXPR", "AU"):
        assert tuned.in_sample[task] > tuned.neutral[task] + 0.02
        assert tuned.in_sample[task] > tuned.cross_fitted[task] + 0.02
    assert abs(tuned.cross_fitted["EXPR"] - tuned.neutral["EXPR"]) < 0.03


def test_a_task_that_tuning_does_not_help_stays_neutral() -> None:
    tuned = tune_clips(people(4, 60, noise=np.inf), TASKS, 4)
    left = [name for name in TASKS if name not in tuned.tuned]
    assert left
    for name in left:
        assert tuned.decision.by_task[name] == NEUTRAL.by_task[name]
        title = TASKS[name].title
        assert tuned.quoted[title] == tuned.neutral[title]


def test_what_decides_a_person_was_chosen_without_that_person() -> None:
    raws = people(4, 100, noise=1.0)
    other = people(4, 100, noise=1.0, seed=5)[2].clip.labels
    changed = [*raws]
    changed[2] = replace(raws[2], clip=replace(raws[2].clip, labels=other))
    folds = [np.array([0, 1]), np.array([2]), np.array([3])]

    def decided(clips: list[RawScores], task: str) -> np.ndarray:
        pool = Pool(clips, TASKS)
        return cross_fitted(pool, TASKS[task], pool.smoothing_counts()[task], folds)

    for task in TASKS:
        before, after = decided(raws, task), decided(changed, task)
        np.testing.assert_array_equal(before[200:300], after[200:300])
        if task != "va":
            assert (before != after).any()


def test_people_who_share_a_video_are_held_out_together() -> None:
    raws = people(5, 60, noise=1.0)
    raws[3] = replace(raws[3], clip=replace(raws[3].clip, video="0"))
    folds = [fold.tolist() for fold in Pool(raws, TASKS).folds(4)]
    assert sorted(clip for fold in folds for clip in fold) == [0, 1, 2, 3, 4]
    assert [0, 3] in folds


def test_a_task_without_labels_is_left_neutral_and_shown_as_a_dash() -> None:
    raws = people(4, 60, noise=1.0)
    for raw in raws:
        raw.clip.labels.expr_mask[:] = False
    tuned = tune_clips(raws, TASKS, 2)
    assert tuned.decision.by_task["expr"] == NEUTRAL.by_task["expr"]
    assert tune.table(tuned)[2].split() == ["EXPR", "-", "-", "-", "-", "-"]


def test_of_equally_good_smoothings_the_simplest_is_taken() -> None:
    assert CANDIDATES[0] == NONE
    raws = [replace(raw, face=np.zeros(len(raw.face), bool)) for raw in people(4, 60, 1.0)]
    assert tune_clips(raws, TASKS, 2).decision.by_task["va"].smoothing == NONE


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def checkpoint(root: Path, tmp_path: Path) -> Path:
    """Of a model that has learnt nothing, as training would store it."""
    return write_checkpoint(root, tmp_path / "best.ckpt")


def write_checkpoint(root: Path, path: Path, **provenance: object) -> Path:
    cut = DataSettings(root=root, streams=["face", "voice"], window=20, stride=15)
    data = AffectDataModule(read_corpus(root), TrackStore(root / "tracks"), cut)
    data.setup("fit")
    torch.manual_seed(0)
    settings = ModelSettings(
        dim=16,
        stream_dim=8,
        tcn_levels=1,
        temporal={"name": "transformer", "layers": 1, "heads": 2},
    )
    model = AffectModel(settings, {name: spec.dim for name, spec in data.specs.items()})
    payload = make_payload(
        config={"data": {"fold": None, "folds": 5}},
        model=settings,
        tasks={name: task.description() for name, task in TASKS.items()},
        specs=data.specs,
        normalisers=data.normalisers,
        align_window=0.2,
        window=20,
        stride=15,
        provenance={"train_clips": ["1", "2"]} | provenance,
    )
    weights = {PREFIX + name: value for name, value in model.state_dict().items()}
    torch.save({"state_dict": weights, KEY: payload}, path)
    return path


def settings_for(checkpoint: Path, root: Path, **changes: object) -> TuneSettings:
    data = CorpusSettings(root=root)
    return TuneSettings(checkpoint=checkpoint, data=data, **changes)  # type: ignore[arg-type]


def test_the_decision_goes_through_the_checkpoint_into_the_predictions(
    root: Path, checkpoint: Path
) -> None:
    clips = [clip for clip in read_corpus(root) if clip.split == "validation"]
    store = TrackStore(root / "tracks")
    weights = load_checkpoint(checkpoint).network.model.state_dict()
    write_decision(checkpoint, checkpoint, CHOSEN, {"decided": "by hand"})
    loaded = load_checkpoint(checkpoint)
    assert loaded.decision == CHOSEN
    assert loaded.provenance == {"train_clips": ["1", "2"], "decided": "by hand"}
    assert all(
        (weights[n] == value).all() for n, value in loaded.network.model.state_dict().items()
    )
    raws = raw_scores(loaded, store, clips)
    for raw, one in zip(raws, predict_clips(loaded, store, clips), strict=True):
        expected = CHOSEN.apply(raw)
        np.testing.assert_array_equal(one.values["va"], expected["va"])
        np.testing.assert_array_equal(one.values["expr"], expected["expr"])
        np.testing.assert_array_equal(one.decided("au"), expected["au"] >= np.float32(0.25))


def test_a_clip_is_decided_alike_whatever_is_predicted_with_it(
    root: Path, checkpoint: Path
) -> None:
    write_decision(checkpoint, checkpoint, CHOSEN, {})
    loaded, store = load_checkpoint(checkpoint), TrackStore(root / "tracks")
    clips = [clip for clip in read_corpus(root) if clip.split != "test"]
    together = {one.id: one for one in predict_clips(loaded, store, clips[::-1])}
    for clip in clips:
        (alone,) = predict_clips(loaded, store, [clip])
        for name in TASKS:
            np.testing.assert_array_equal(alone.values[name], together[clip.id].values[name])


def test_a_checkpoint_from_before_decisions_keeps_its_thresholds(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    for part in ("decision", "tasks"):
        del content[KEY][part]
    content[KEY]["format"] = 1
    content[KEY]["thresholds"] = torch.linspace(0.1, 0.9, len(UNITS))
    torch.save(content, checkpoint)
    decision = load_checkpoint(checkpoint).decision
    thresholds = decision.by_task["au"].thresholds
    np.testing.assert_allclose(thresholds, np.linspace(0.1, 0.9, 12), atol=1e-6)
    assert {**decision.by_task, "au": NEUTRAL.by_task["au"]} == NEUTRAL.by_task
    write_decision(checkpoint, checkpoint, CHOSEN, {})
    assert load_checkpoint(checkpoint).decision == CHOSEN


def test_tuning_twice_gives_the_same_file_and_says_on_what(root: Path, checkpoint: Path) -> None:
    tune.tune(settings_for(checkpoint, root))
    once = checkpoint.read_bytes()
    tuned, missing = tune.tune(settings_for(checkpoint, root))
    assert checkpoint.read_bytes() == once
    assert not missing
    loaded = load_checkpoint(checkpoint)
    assert loaded.decision == tuned.decision
    decided = loaded.provenance["decided"]
    assert decided["how"] == "decided on 2 validation clips"
    assert decided["clips"] == ["3", "4_left"]
    assert decided["scores"]["quote"]["VA"] == tuned.quoted["VA"]
    assert torch.load(checkpoint, weights_only=True)[KEY]["decision"] == tuned.decision.state()


def test_out_leaves_the_checkpoint_as_it_is(
    root: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = checkpoint.read_bytes(), checkpoint.with_name("tuned.ckpt")
    words = ["--checkpoint", str(checkpoint), "--data.root", str(root), "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        run(TuneSettings, tune.command, prog="t", description="", argv=words)
    assert stop.value.code == 0
    assert checkpoint.read_bytes() == before
    assert load_checkpoint(out).decision
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["neutral", "quote", "cross-fitted", "in-sample", "gap"]
    assert [line.split()[0] for line in said[1:5]] == [*TITLES, "P"]
    assert any(line.startswith("may not: 'in-sample'") for line in said)


def test_one_person_is_too_few(root: Path, checkpoint: Path) -> None:
    before = checkpoint.read_bytes()
    clip = next(clip for clip in read_corpus(root) if clip.id == "3")
    raws = raw_scores(load_checkpoint(checkpoint), TrackStore(root / "tracks"), [clip])
    with pytest.raises(UserError, match=r"best.ckpt.*fewer than two people.*data\.fold") as said:
        tune.require_people(raws, checkpoint)
    assert "\n" not in str(said.value)
    assert checkpoint.read_bytes() == before


def test_clips_that_the_model_was_trained_on_are_refused(root: Path, tmp_path: Path) -> None:
    path = write_checkpoint(root, tmp_path / "leak.ckpt", train_clips=["1", "3"])
    with pytest.raises(UserError, match=r"leak\.ckpt: trained on 3"):
        tune.tune(settings_for(path, root))


def test_a_crash_while_writing_leaves_the_old_checkpoint(
    root: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = checkpoint.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("features.store.atomic_file.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        tune.tune(settings_for(checkpoint, root))
    assert checkpoint.read_bytes() == before
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]
