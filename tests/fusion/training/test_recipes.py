"""Each shipped recipe holds the idea that it is named for; the README's figures are those measured.

One test a recipe, which fails when the idea leaves its YAML.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import gelu

from features.cli.app import parse
from features.encoders.registry import encoder_names, encoder_of
from fusion.model.feeds import SummedFeeds
from fusion.model.settings import scales_of
from fusion.model.streaming import streaming_order
from fusion.training.config import Stage, TrainSettings, stage_settings

ROOT = Path(__file__).parents[3]
TASKS = ("va", "expr", "au")


def recipe(name: str) -> TrainSettings:
    argv = ["--cfg", str(ROOT / f"configs/{name}.yaml")]
    return parse(TrainSettings, prog="t", description="", argv=argv)


def learnt(one: TrainSettings) -> tuple[str, ...]:
    made = one.made_tasks()
    return tuple(name for name in TASKS if made[name].weight > 0)


def told(one: TrainSettings, task: str) -> Any:
    """All settings of a task."""
    return one.made_tasks()[task].settings


def stages_of(one: TrainSettings) -> dict[str, tuple[Stage, TrainSettings]]:
    """Each stage with its own settings, by name, in order."""
    return {stage.name: (stage, stage_settings(one, stage)) for stage in one.stages}


def test_mtl_learns_all_tasks_side_by_side_from_picture_and_sound() -> None:
    one = recipe("mtl")
    assert not one.stages
    assert learnt(one) == TASKS
    assert (one.model.head, one.model.fusion_block.name) == ("parallel", "concat")
    assert one.model.temporal_block.name == "transformer"
    assert one.model.temporal["layers"] > 0
    assert one.model.tcn_levels > 0, "a temporal encoder a stream"
    encoders = {encoder_of(stream) for stream in one.data.streams}
    assert encoders & set(encoder_names("faces"))
    assert encoders & set(encoder_names("sound"))


def test_pasn_streams_from_task_to_task_on_a_prior() -> None:
    one = recipe("pasn")
    assert not one.stages
    assert learnt(one) == TASKS
    assert len({told(one, task).weight for task in TASKS}) == 1, "a sum, as released"
    assert one.loss.weighting == "fixed"
    assert (one.model.head, one.model.order) == ("streaming", ())
    assert streaming_order(one.made_tasks()) == ("au", "expr", "va")
    assert {"expression", "expression.metric"} <= set(one.data.streams), "the prior"
    assert (told(one, "va").loss, told(one, "au").loss) == ("smooth_l1+ccc", "zlpr+bce")
    assert told(one, "expr").label_smoothing == 0.1
    assert one.data.mix == "tasks", "a batch from each single-task set"


def test_progressive_learns_apart_then_together_then_in_time() -> None:
    one = recipe("progressive")
    stages = stages_of(one)
    assert list(stages) == ["va", "expr", "au", "joint", "transformer", "lstm", "tcn", "compound"]
    for task in TASKS:
        stage, own = stages[task]
        assert learnt(own) == (task,), "apart"
        assert not stage.needs
        assert (own.model.temporal_block.name, own.model.tcn_levels) == ("none", 0), "single frames"
    joint, own = stages["joint"]
    assert learnt(own) == TASKS, "together"
    assert sorted(joint.feeds) == sorted(TASKS), "f = x + f_va + f_expr + f_au"
    assert own.data.streams, "x"
    assert {joint.start[part] for part in ("encoders", "fusion")} <= set(TASKS)
    assert {task: joint.start[f"heads.{task}"] for task in TASKS} == {t: t for t in TASKS}
    assert (own.model.temporal_block.name, own.model.dropout) == ("none", 0.3)
    for name in ("transformer", "lstm", "tcn"):
        stage, own = stages[name]
        assert own.model.temporal_block.name == name, "in time"
        assert own.model.temporal["layers"] > 0
        assert (stage.feeds, own.data.streams) == (["joint"], []), "on what stage 2 has made"
        assert stage.start == {"heads": "joint"}
        assert learnt(own) == TASKS
    assert set(one.answers) == {*TASKS, "compound"}
    for task in TASKS:
        assert set(one.answers[task]) == {"joint", "transformer", "lstm", "tcn"}, "its own best"
    assert [stage.teachers for stage, _ in stages.values()] == [[]] * len(stages)


def test_progressive_learns_compounds_by_a_curriculum() -> None:
    stage, own = stages_of(recipe("progressive"))["compound"]
    assert told(own, "compound").weight > 0
    assert learnt(own) == ("expr",), "beside EXPR"
    share = told(own, "compound").share
    assert [tuple(pair) for pair in share] == [(5, 0.0), (5, 0.2), (3, 0.4), (3, 1.0)]
    assert own.epochs == sum(epochs for epochs, _ in share)
    assert own.keep == "last"
    assert stage.feeds == ["joint"]
    assert recipe("progressive").answers["compound"] == ["compound"]


def test_distill_has_a_teacher_fill_in_what_each_set_lacks() -> None:
    one = recipe("distill")
    stages = stages_of(one)
    teacher, of_teacher = stages["teacher"]
    student, of_student = stages["student"]
    assert list(stages)[:2] == ["teacher", "student"]
    assert not teacher.needs
    assert (student.teachers, student.start, student.feeds) == (["teacher"], {}, [])
    assert of_teacher.model == of_student.model, "of the same shape"
    for own in (of_teacher, of_student):
        assert learnt(own) == TASKS
        assert own.data.mix == "combinations", "equal batches of each set"
        assert own.data.sampling == "balanced"
        assert own.data.share_labels
        va = told(own, "va")
        assert (va.bins, va.bin_values, va.loss) == (20, "centres", "bins+ccc")
    taught = of_student.loss
    assert (taught.teaching, taught.truth, taught.temperature) == ("soft", 0.6, 1.5)


def test_distill_ends_in_a_recurrent_model_a_task_on_frozen_features() -> None:
    one = recipe("distill")
    stages = stages_of(one)
    for task in TASKS:
        stage, own = stages[f"gru-{task}"]
        assert own.model.temporal_block.name == "gru"
        assert learnt(own) == (task,)
        assert (stage.feeds, own.data.streams) == (["student"], [])
        assert stage.start == {"heads": "student"}
        assert (own.data.window, own.data.stride) == (32, 16)
        assert set(one.answers[task]) == {"student", f"gru-{task}"}


def test_fpn_has_a_path_over_levels_and_teachers_of_single_tasks() -> None:
    one = recipe("fpn")
    stages = stages_of(one)
    assert list(stages) == [*TASKS, "student"]
    for task in TASKS:
        stage, own = stages[task]
        assert learnt(own) == (task,), "a teacher of one task"
        assert not stage.needs
    student, own = stages["student"]
    assert sorted(student.teachers) == sorted(TASKS)
    assert learnt(own) == TASKS
    assert own.loss.teaching == "labels", "the teachers' decisions where there is no label"
    for _, own in stages.values():
        levels = own.model.fusion["levels"]
        assert own.model.fusion_block.name == "top-down"
        assert len(levels) >= 3
        assert list(levels) == sorted(levels), "fine to coarse"
        assert {encoder_of(level) for level in levels} == {"pyramid"}
        assert set(levels) <= set(own.data.streams)
        assert (own.model.temporal_block.name, own.model.head) == ("pyramid", "scales")
        scales = scales_of(own.model, own.made_tasks())
        assert scales == {"au": 0, "expr": 1, "va": 2}, "each task at its own scale"
    assert not one.answers, "the student answers"


@pytest.mark.parametrize("beside", [True, False])
def test_feeds_are_summed(beside: bool) -> None:
    torch.manual_seed(0)
    x, a, b = torch.randn(3, 2, 5, 4)
    joined = SummedFeeds(["a", "b"], 4, 0.0, beside=beside).eval()
    said = joined(x if beside else None, {"b": b, "a": a})
    if not beside:
        torch.testing.assert_close(said, a + b)
        return
    assert joined.perceptron is not None
    linear = joined.perceptron[0]
    assert isinstance(linear, torch.nn.Linear)
    torch.testing.assert_close(said, gelu(linear(x + a + b)))
    assert not torch.allclose(said, gelu(linear((x + a + b) / 3)))


def test_a_model_without_feeds_gets_its_frames_as_they_are() -> None:
    x = torch.randn(2, 5, 4)
    assert torch.equal(SummedFeeds([], 4, 0.5, beside=True)(x, {}), x)


# --- the README's table is what was measured ------------------------------------------------------

README = (ROOT / "README.md").read_text()
MEASURED = (ROOT / "experiments/results/ablation.md").read_text()


def measured(one: str, other: str) -> list[str]:
    """Differences of P at 0, 50 and 90 %, as the README writes them."""
    row = rf"^\| {re.escape(one)} minus {re.escape(other)} \| (?:0|50|90)% .*\| ([^|]+) \|$"
    return [one.replace("0.", ".") for one in re.findall(row, MEASURED, re.MULTILINE)]


def score(variant: str) -> str:
    found = re.search(rf"^\| {re.escape(variant)} \| 0% .*\| ([\d.]+) \(", MEASURED, re.MULTILINE)
    assert found
    return found[1]


SAME_STREAMS = {"pasn": "mtl, prior", "progressive": "mtl", "distill": "mtl", "fpn": "mtl, levels"}


@pytest.mark.parametrize("system", SAME_STREAMS)
def test_the_readme_holds_each_system_against_plain_learning_on_its_streams(system: str) -> None:
    other = SAME_STREAMS[system]
    cells = [f"`{system}`", score(system), score(other), *measured(system, other)]
    assert len(cells) == 6
    assert f"| {' | '.join(cells)} |" in README


@pytest.mark.parametrize(
    ("idea", "pair"),
    [
        ("PASN: tasks in a stream | parallel heads", ("pasn", "pasn, parallel heads")),
        ("PASN: expression prior | without it", ("pasn", "pasn, no prior")),
        (
            "progressive: first apart, then joint | joint from scratch",
            ("progressive", "progressive, joint from scratch"),
        ),
        ("distill: a teacher | labels alone", ("distill", "distill, no teacher")),
        ("distill: shared labels | each set alone", ("distill", "distill, no shared labels")),
        (
            "fpn: top-down path, scales of time | levels side by side, TCN",
            ("fpn", "fpn, no top-down path"),
        ),
        ("fpn: teachers' labels | true labels alone", ("fpn", "fpn, no teachers")),
    ],
)
def test_the_readme_says_what_each_idea_was_measured_to_be_worth(
    idea: str, pair: tuple[str, str]
) -> None:
    assert f"| {idea} | {' | '.join(measured(*pair))} |" in README


def test_the_readme_says_how_large_the_study_was() -> None:
    assert "at 0.02 of the real length, 6 epochs in every stage" in MEASURED
    assert "5 seeds" in MEASURED
    assert "2 % of its real length, 6 epochs a stage" in README
    assert "5 seeds" in README


def test_the_tolerance_of_chunks_is_the_measured_one() -> None:
    """The docstring of wav2vec2 names the defaults' row of each kind."""
    from features.encoders.audio import wav2vec2

    page = (ROOT / "experiments/results/chunking.md").read_text()
    defaults = wav2vec2.Wav2Vec2Settings()
    row = rf"^\| {defaults.chunk:g} \| {defaults.overlap:g} \| (.*) \|$"
    base, large, packaged = (r.split(" | ") for r in re.findall(row, page, re.MULTILINE))
    assert min(float(base[2]), float(large[2])) > 0.999
    assert max(float(base[6]), float(large[6])) == pytest.approx(0.01, abs=0.002)
    said = " ".join((wav2vec2.__doc__ or "").split())
    lowest, percent, median, away, error = (float(packaged[i]) for i in (2, 3, 4, 5, 6))
    assert (
        f"cosine {median:.3f} in the median, {percent:.3f} at the lowest 1 %, {lowest:.3f} at"
        f" least, relative error {error:.2f}"
    ).replace("0.", ".") in said
    assert away == lowest, "the same at the cuts as away from them"
