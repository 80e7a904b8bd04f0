"""Recipes of several stages: what stages hand on, what is kept, put together and refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from features.cli.app import parse
from features.errors import UserError
from features.store.feature_track import read_track
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import read_corpus
from fusion.data.loading.config import DataSettings
from fusion.data.loading.datamodule import AffectDataModule
from fusion.data.stage_outputs import FEATURES, SCORES, StageInputs, StageOutputs, teacher_scores
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.payload import KEY, read_payload
from fusion.inference.predictor import raw_scores
from fusion.losses.multitask import LossSettings
from fusion.model.settings import ModelSettings
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.registry import make_tasks
from fusion.training import run as training
from fusion.training import stage_export, stages
from fusion.training.config import Stage, TrainSettings, check_stages, stage_settings
from fusion.training.stage_export import read_stage
from fusion.training.stages import train
from tests.fusion.classic import TASKS
from tests.fusion.small_corpora import put
from tests.fusion.tiny import CLIPS, DIM, write_corpus

CONFIGS = Path(__file__).parents[3] / "configs"
ALONE = {
    "va": {"tasks": {"expr": {"weight": 0.0}, "au": {"weight": 0.0}}},
    "expr": {"tasks": {"va": {"weight": 0.0}, "au": {"weight": 0.0}}},
    "au": {"tasks": {"va": {"weight": 0.0}, "expr": {"weight": 0.0}}},
}
FEED_ONLY = {"data": {"streams": []}, "model": {"temporal": "gru"}}


def settings(root: Path, runs: Path, **changes: object) -> TrainSettings:
    """A small progressive recipe: va and expr apart, together, in time."""
    defaults = {
        "name": "tiny",
        "runs": runs,
        "data": DataSettings(root=root, streams=["face", "voice"], window=20, stride=15, batch=4),
        "model": ModelSettings(dim=16, stream_dim=8, tcn_levels=0, temporal="none"),
        "epochs": 2,
        "stages": [
            Stage("va", ALONE["va"]),
            Stage("expr", ALONE["expr"]),
            Stage(
                "joint",
                {},
                {"encoders": "va", "fusion": "va", "heads.va": "va", "heads.expr": "expr"},
                ["va", "expr"],
            ),
            Stage("gru", FEED_ONLY, {"heads": "joint"}, ["joint"]),
        ],
        "answers": {"va": ["joint", "gru"], "expr": ["gru"]},
    }
    return TrainSettings(**(defaults | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def best(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint put together of a finished recipe."""
    return train(settings(root, tmp_path_factory.mktemp("runs")))


@pytest.fixture
def copy(best: Path, tmp_path: Path) -> Path:
    """Folder of runs with a copy of the finished recipe."""
    shutil.copytree(best.parent, tmp_path / "runs/tiny")
    return tmp_path / "runs"


def outputs_of(best: Path, name: str) -> StageOutputs:
    folder = best.parent / name
    return read_stage(name, folder / "best.ckpt", folder / "outputs")


def data_of(recipe: TrainSettings, stage: str, inputs: StageInputs) -> AffectDataModule:
    own = stage_settings(recipe, next(one for one in recipe.stages if one.name == stage))
    assert own.data.root is not None
    module = AffectDataModule(
        read_corpus(own.data.root), own.data.tracks(), own.data, inputs=inputs
    )
    module.setup("fit")
    return module


def test_a_stage_is_a_run_of_its_own_with_named_outputs(best: Path) -> None:
    runs = {folder.parent.name for folder in best.parent.glob("*/best.ckpt")}
    assert runs == {"va", "expr", "joint", "gru"}
    for name in ("va", "expr", "joint"):
        files = {path.stem for path in best.parent.glob(f"{name}/outputs/features/*.safetensors")}
        assert files == set(CLIPS)
    assert not list(best.parent.glob("gru/outputs"))


def test_the_joint_stage_starts_from_the_weights_and_features_of_the_first(
    root: Path, best: Path
) -> None:
    va, expr = outputs_of(best, "va"), outputs_of(best, "expr")
    recipe = settings(root, best.parents[1])
    inputs = stages.stage_inputs(recipe.stages[2], recipe, {"va": va, "expr": expr}, best.parent)
    data = data_of(recipe, "joint", inputs)
    module = training.make_module(stage_settings(recipe, recipe.stages[2]), data, {"tasks": {}})
    before = load_checkpoint(va.checkpoint).network.model
    heads = load_checkpoint(expr.checkpoint).network.model.heads
    own = module.model.state_dict()
    for name, value in before.state_dict().items():
        if name.startswith(("encoders", "fusion", "heads.va")):
            assert torch.equal(own[name], value)
    for name, value in heads.get_submodule("expr").state_dict().items():
        assert torch.equal(own[f"heads.expr.{name}"], value)
    windows = data.datasets["train"]
    clip, start = windows.windows[1]
    for one in (va, expr):
        handed = read_track(one.path(FEATURES, windows.clips[clip])).values
        assert np.array_equal(windows[1].feeds[one.name][0], handed[start : start + 20])
        with torch.inference_mode():  # batches of other sizes differ in the last digit
            made = load_checkpoint(one.checkpoint).network.model.features(windows[1])
        assert torch.allclose(windows[1].feeds[one.name], made, atol=1e-5)


def test_feeds_change_what_the_model_says(root: Path, best: Path) -> None:
    checkpoint = load_checkpoint(best)
    clip = next(one for one in read_corpus(root) if one.id == "3")
    store = TrackStore(root / "tracks")
    (before,) = raw_scores(checkpoint, store, [clip])
    with torch.no_grad():
        joint = checkpoint.answers["expr"].feeds["joint"]
        joint.feeds["va"].model.temporal.norm.weight.zero_()
    (after,) = raw_scores(checkpoint, store, [clip])
    for task in TASKS:
        assert not np.allclose(before.scores[task], after.scores[task])


def test_prediction_sees_the_features_that_training_saw(root: Path, best: Path) -> None:
    checkpoint = load_checkpoint(best.parent / "gru/best.ckpt")
    runner_scores = next(
        iter(raw_scores(checkpoint, TrackStore(root / "tracks"), read_corpus(root)[:1]))
    )
    recipe = settings(root, best.parents[1])
    inputs = StageInputs(feeds=(outputs_of(best, "joint"),))
    windows = data_of(recipe, "gru", inputs).datasets["train"]
    model = checkpoint.network.model
    with torch.inference_mode():
        said = model(windows[0])["va"][0, :5].numpy()
    assert windows.clips[0].id == runner_scores.clip.id
    assert np.allclose(said, runner_scores.scores["va"][:5], atol=1e-6)


def test_what_is_there_is_not_made_again(
    root: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network was run though its outputs are there")

    before = (copy / "tiny/best.ckpt").read_bytes()
    monkeypatch.setattr(stage_export, "NetworkRunner", refuse)
    recipe = settings(root, copy, answers={"va": ["joint"], "expr": ["gru"], "au": ["gru"]})
    stamps = {path: path.stat().st_mtime_ns for path in copy.rglob("outputs/**/*.safetensors")}
    train(recipe)
    assert stamps
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert before  # the recipe itself may have been put together anew


def test_a_finished_recipe_is_left_as_it_is(root: Path, copy: Path) -> None:
    stamp = (copy / "tiny/best.ckpt").stat().st_mtime_ns
    train(settings(root, copy))
    assert (copy / "tiny/best.ckpt").stat().st_mtime_ns == stamp


def test_a_lost_output_is_made_again_and_is_the_same(root: Path, copy: Path) -> None:
    lost = copy / "tiny/va/outputs/features/1.safetensors"
    half = copy / "tiny/expr/outputs/features/2.safetensors"
    before = read_track(lost).values, read_track(half).values
    lost.unlink()
    half.write_bytes(half.read_bytes()[:100])
    train(settings(root, copy))
    assert np.array_equal(read_track(lost).values, before[0])
    assert np.array_equal(read_track(half).values, before[1])


def test_each_task_is_answered_by_the_stage_named_or_the_best(root: Path, best: Path) -> None:
    checkpoint = load_checkpoint(best)
    gru = load_checkpoint(best.parent / "gru/best.ckpt").network
    for task in ("expr", "au"):  # named, and the last by default
        own = checkpoint.answers[task].model.state_dict()
        assert all(torch.equal(own[k], v) for k, v in gru.model.state_dict().items())
    held = read_payload(best)[KEY]["answers"]
    table = (best.parent / "stages.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["stage", "joint", "gru"]
    scores = {line.split(",")[0]: line.split(",") for line in table}
    columns = [scores["stage"].index(name) for name in ("CCC_V", "CCC_A")]
    mean = {n: sum(float(scores[n][c]) for c in columns) for n in ("joint", "gru")}
    winner = max(mean, key=lambda name: mean[name])
    assert held["va"] == outputs_of(best, winner).revision


def test_an_assembly_is_self_contained(root: Path, best: Path, tmp_path: Path) -> None:
    alone = tmp_path / "model.ckpt"
    shutil.copy(best, alone)
    clips, store = read_corpus(root), TrackStore(root / "tracks")
    before = [raw.scores for raw in raw_scores(load_checkpoint(best), store, clips)]
    after = [raw.scores for raw in raw_scores(load_checkpoint(alone), store, clips)]
    for one, other in zip(before, after, strict=True):
        assert all(np.array_equal(one[task], other[task]) for task in TASKS)
    assert set(load_checkpoint(alone).specs) == {"face", "voice"}


def test_a_network_that_feeds_several_is_kept_and_read_once(best: Path) -> None:
    checkpoint = load_checkpoint(best)
    if checkpoint.answers["va"] is not checkpoint.answers["expr"]:
        assert checkpoint.answers["expr"].feeds["joint"] is checkpoint.answers["va"]
    assert len(read_payload(best)[KEY]["networks"]) == 4


def test_a_stage_with_changed_settings_is_refused(root: Path, copy: Path) -> None:
    with pytest.raises(UserError, match=r"holds a run with other settings \(tasks.expr.balance\)"):
        train(settings(root, copy, tasks={**dict.fromkeys(TASKS), "expr": {"balance": 0.2}}))


def test_a_stage_is_refused_when_what_it_was_fed_has_changed(root: Path, copy: Path) -> None:
    shutil.rmtree(copy / "tiny/va")
    changed = settings(root, copy)
    alone = {"va": {"loss": "mse"}, "expr": {"weight": 0.0}, "au": {"weight": 0.0}}
    changed.stages[0] = Stage("va", {"tasks": alone})
    with pytest.raises(UserError, match=r"tiny/joint holds a run with other settings \(inputs"):
        train(changed)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ([Stage("a", feeds=["b"]), Stage("b")], "stage 'a' needs 'b', which is no stage before it"),
        ([Stage("a"), Stage("a")], "two stages are called 'a'"),
        ([Stage("a/b")], "'a/b' cannot name a stage"),
        (
            [Stage("a", {"modle": {"dim": 8}})],
            "stage 'a': unknown setting 'modle.dim'; did you mean 'model.dim'",
        ),
        ([Stage("a", {"model": {"dim": "wide"}})], "stage 'a': .*model.dim"),
        ([Stage("a"), Stage("b", {"epochs": "many"})], "stage 'b': .*epochs"),
        ([Stage("a", teachers=["runs/none.ckpt"])], "runs/none.ckpt: no such checkpoint"),
    ],
)
def test_stages_that_make_no_sense_are_refused_in_one_line(
    root: Path, tmp_path: Path, changes: list[Stage], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint) as error:
        train(settings(root, tmp_path, stages=changes, answers={}))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.ckpt"))  # found before any stage is trained


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"pose": ["va"]}, "'pose' is no task"),
        ({"va": ["nobody"]}, "answers.va names nobody; stages are va, expr"),
        ({"va": []}, "answers.va names nothing"),
    ],
)
def test_answers_that_make_no_sense_are_refused(
    root: Path, tmp_path: Path, answers: dict[str, list[str]], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        check_stages(settings(root, tmp_path, answers=answers))


def test_a_part_that_a_stage_does_not_have_cannot_be_started_from_it(
    root: Path, copy: Path
) -> None:
    recipe = settings(root, copy)
    recipe.stages[3] = Stage("other", FEED_ONLY, {"temporal": "joint"}, ["joint"])
    with pytest.raises(UserError, match="'temporal' cannot start from stage 'joint'"):
        train(replace(recipe, answers={}))


def test_feeds_of_another_width_are_refused(root: Path, copy: Path) -> None:
    recipe = settings(root, copy)
    wide = {"data": {"streams": []}, "model": {"temporal": "gru", "dim": 32}}
    recipe.stages[3] = Stage("wide", wide, {}, ["joint"])
    with pytest.raises(UserError, match=r"'joint' makes 16 features .* model.dim 32"):
        train(replace(recipe, answers={}))


def taught(root: Path, runs: Path, **changes: object) -> TrainSettings:
    """Single-task teachers and a student."""
    teachers = [Stage(task, own) for task, own in ALONE.items()]
    return settings(
        root,
        runs,
        stages=[*teachers, Stage("student", teachers=["va", "expr", "au"])],
        answers={},
        **changes,
    )


@pytest.mark.parametrize("teaching", ["soft", "labels"])
def test_a_student_learns_from_teachers_of_single_tasks(
    root: Path, tmp_path: Path, teaching: str
) -> None:
    best = train(taught(root, tmp_path, loss=LossSettings(teaching=teaching)))  # type: ignore[arg-type]
    inputs = StageInputs(teachers=tuple(outputs_of(best, task) for task in ALONE))
    windows = data_of(taught(root, tmp_path), "student", inputs).datasets
    window = windows["train"][0]
    assert set(window.teacher) == set(ALONE)
    for task in ALONE:
        network = load_checkpoint(best.parent / f"{task}/best.ckpt").network
        with torch.inference_mode():
            said = network.model(window)[task]
        assert torch.allclose(window.teacher[task][:, :5], said[:, :5], atol=1e-6)
    assert not windows["validation"][0].teacher
    assert not (best.parent / "va/outputs/features").exists()


def test_tasks_that_nobody_teaches_are_not_said(best: Path) -> None:
    va = outputs_of(best, "va")
    said = teacher_scores([(va, torch.rand(1, 4, 22))])
    assert set(said) == {"va"}
    assert said["va"].shape == (1, 4, 2)


def test_two_teachers_of_one_task_are_refused(root: Path, copy: Path) -> None:
    recipe = settings(root, copy)
    stages_ = [recipe.stages[0], Stage("again", ALONE["va"]), Stage("s", teachers=["va", "again"])]
    with pytest.raises(UserError, match="'va' and 'again' both teach VA"):
        train(replace(recipe, stages=stages_, answers={}))


def test_a_teacher_of_nothing_that_is_learnt_is_refused(root: Path, copy: Path) -> None:
    recipe = settings(root, copy)
    stages_ = [recipe.stages[0], Stage("s", ALONE["au"], teachers=["va"])]
    with pytest.raises(UserError, match="teacher 'va' knows VA, but the stage learns AU"):
        train(replace(recipe, stages=stages_, answers={}))


def test_a_teacher_of_another_label_set_is_refused(root: Path, copy: Path, tmp_path: Path) -> None:
    """Of a task of the same name, as a data set's own classes, or an older checkpoint has it."""
    own = {"values": {"names": ["pain", "joy"]}, **dict.fromkeys(TASKS, False)}
    teacher = outputs_of(copy / "tiny/best.ckpt", "va")
    theirs = make_tasks({"values": {"names": ["pain", "rage"]}})
    seven = replace(teacher, tasks=("values",), says=theirs, seen={})
    asked = replace(settings(root, copy), tasks=own).made_tasks()
    with pytest.raises(UserError, match=r"made for another set of labels \(VALUES: pain"):
        StageInputs(teachers=(seven,)).check(asked, [])
    content = torch.load(copy / "tiny/va/best.ckpt", weights_only=True)
    content[KEY] |= {"format": 2, "expressions": list(EXPRESSIONS[:7])}
    other = tmp_path / "other/best.ckpt"
    other.parent.mkdir()
    torch.save(content, other)
    recipe = settings(root, copy, stages=[Stage("s", teachers=[str(other)])], answers={})
    with pytest.raises(UserError, match=r"other/best.ckpt: made for another set of labels"):
        train(recipe)


def test_a_teacher_from_elsewhere_teaches(root: Path, copy: Path) -> None:
    teacher = str(copy / "tiny/joint/best.ckpt")
    recipe = settings(root, copy, name="new", stages=[Stage("s", teachers=[teacher])], answers={})
    best = train(recipe)
    assert read_payload(best.parent / "s/best.ckpt")[KEY]["config"]["inputs"]["teachers"]
    assert list((copy / "new/outside").glob(f"joint-*/outputs/{SCORES}/1.safetensors"))


def test_a_teacher_that_knows_the_held_out_clips_is_refused(root: Path, copy: Path) -> None:
    teacher = str(copy / "tiny/joint/best.ckpt")
    recipe = settings(root, copy, name="new", stages=[Stage("s", teachers=[teacher])], answers={})
    swapped = replace(recipe, data=replace(recipe.data, fold=0, folds=2))
    with pytest.raises(UserError, match="has trained on clips held out now"):
        train(swapped)


def test_a_recipe_with_nothing_to_learn_is_refused(root: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(root, bare)
    shutil.rmtree(bare / "annotations/AU_Detection_Challenge")
    recipe = settings(bare, tmp_path, stages=[Stage("au", ALONE["au"])], answers={})
    with pytest.raises(
        UserError, match="bare: stage 'au' is left out: no training clip has a label of AU"
    ):
        train(recipe)


def test_a_teacher_makes_up_for_labels_that_are_not_there(
    root: Path, copy: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(root, bare)
    shutil.rmtree(bare / "annotations/VA_Estimation_Challenge/Train_Set")
    teacher = str(copy / "tiny/va/best.ckpt")
    stages_ = [Stage("s", ALONE["va"], teachers=[teacher])]
    best = train(settings(bare, copy, name="new", stages=stages_, answers={}))
    weights = load_checkpoint(best).network.model.heads.get_submodule("va").state_dict()
    untaught = settings(bare, copy, name="expr", stages=[Stage("s", ALONE["expr"])], answers={})
    others = load_checkpoint(train(untaught)).network.model.heads.get_submodule("va").state_dict()
    assert not all(torch.equal(weights[key], others[key]) for key in weights)


def test_a_killed_recipe_goes_on_where_it_was(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best: Path
) -> None:
    real = StageOutputs.write
    written = []

    def killed(self: StageOutputs, clip, *rest) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(clip.id)
        real(self, clip, *rest)

    monkeypatch.setattr(StageOutputs, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        train(settings(root, tmp_path))
    monkeypatch.setattr(StageOutputs, "write", real)
    again = train(settings(root, tmp_path))
    for name in ("va", "gru"):
        new = load_checkpoint(again.parent / name / "best.ckpt").network.model.state_dict()
        old = load_checkpoint(best.parent / name / "best.ckpt").network.model.state_dict()
        assert all(torch.equal(new[key], old[key]) for key in old)


@pytest.fixture(scope="module")
def odd_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus, and a clip of one frame, and one whose labels are all invalid."""
    root = write_corpus(tmp_path_factory.mktemp("odd"))
    store = TrackStore(root / "tracks")
    folder = root / "annotations/VA_Estimation_Challenge"
    for name, split, rows in (
        ("one", "Train_Set", ["0.5,0.5"]),
        ("single", "Validation_Set", ["-0.5,0.5"]),
        ("mute", "Train_Set", ["-5,-5"] * 30),
    ):
        times = np.arange(len(rows)) / 25
        put(store, "faces", name, times, person="main")
        put(store, "face", name, times, np.ones((len(rows), DIM)), person="main")
        (folder / split / f"{name}.txt").write_text("\n".join(["valence,arousal", *rows]) + "\n")
    return root


@pytest.mark.parametrize("name", ["progressive", "distill", "fpn"])
def test_a_shipped_recipe_trains_predicts_and_is_found_again(
    name: str, odd_root: Path, tmp_path: Path
) -> None:
    root = odd_root
    path = CONFIGS / f"{name}.yaml"
    recipe = parse(TrainSettings, prog="t", description="", argv=["--cfg", str(path)])
    streams = ["face", "voice"]
    levels = {"fusion": {"name": "top-down", "levels": streams}} if name == "fpn" else {}
    model = replace(recipe.model, dim=16, stream_dim=8, **levels)
    small = replace(
        recipe,
        runs=tmp_path,
        epochs=1,
        model=model,
        data=replace(recipe.data, root=root, streams=streams, window=20, stride=15),
    )
    best = train(small)
    stamp = best.stat().st_mtime_ns
    assert train(small) == best
    assert best.stat().st_mtime_ns == stamp
    clips = read_corpus(root)
    said = list(raw_scores(load_checkpoint(best), TrackStore(root / "tracks"), clips))
    assert len(said) == len(clips)
    assert all(np.isfinite(scores).all() for raw in said for scores in raw.scores.values())
    assert ("compound" in said[0].scores) == (name == "progressive")
