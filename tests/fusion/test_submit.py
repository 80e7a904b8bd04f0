"""The command on stored predictions, which needs no model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.cli.app import run
from features.errors import UserError
from fusion import submit
from fusion.data.prediction_files import write_predictions
from fusion.data.predictions import FramePredictions
from fusion.submit import SubmitSettings, decide
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from tests.fusion.classic import classic_predictions

VA = "image_location,valence,arousal"


def predictions(name: str, frames: int, compound: np.ndarray | None = None) -> FramePredictions:
    """Frame i is 'Other' by far and class i mod 7 next; unit i mod 12 is on; odd frames a face."""
    i = np.arange(1, frames + 1)
    expr = np.full((frames, len(EXPRESSIONS)), 0.05, np.float32)
    expr[:, 7], expr[i - 1, i % 7] = 0.5, 0.2
    return classic_predictions(
        id=name,
        video=name.removesuffix("_left"),
        times=i / 25,
        face=i % 2 == 1,
        va=np.stack([i / 100, -i / 100], 1).astype(np.float32),
        expr=expr,
        au=np.where(i[:, None] % 12 == np.arange(12), 0.7, 0.3).astype(np.float32),
        thresholds=np.full(len(UNITS), 0.4, np.float32),
        provenance={"checkpoint": "abc"},
        compound=compound,
    )


@pytest.fixture
def pred(tmp_path: Path) -> Path:
    for name, frames in {"12": 3, "12_left": 4, "video1": 2}.items():
        write_predictions(predictions(name, frames), tmp_path / "pred")
    return tmp_path / "pred"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    rows = [f"12_left/{i:05d}.jpg,0,0" for i in range(1, 5)] + ["12/00001.jpg,0,0"]
    return write(tmp_path / "sample.txt", [VA, *rows, "12/00002.jpg,0,0", "12/00003.jpg,0,0"])


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def call(*argv: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run(SubmitSettings, submit.command, prog="t", description="", argv=[str(a) for a in argv])
    return int(stop.value.code or 0)


@pytest.fixture
def out(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was complained of; fails unless that is one line."""

    def one_line() -> str:
        (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("t: ")]
        return line

    return one_line


def test_stored_predictions_are_submitted_by_the_template(
    pred: Path, sample: Path, tmp_path: Path, out: Callable[[], str]
) -> None:
    file = tmp_path / "va.txt"
    assert call("--template", sample, "--pred", pred, "--out", file) == 0
    rows = file.read_text().splitlines()
    assert rows[1:6] == [
        *(f"12_left/0000{i}.jpg,0.0{i}0000,-0.0{i}0000" for i in range(1, 5)),
        "12/00001.jpg,0.010000,-0.010000",
    ]
    said = out()
    assert "7 rows, 2 ids" in said
    assert (
        "no face, values from the frames around or other streams: 3 frames of 12_left, 12" in said
    )
    assert "va.txt: good" in said
    assert "rules: edition 11, VA: it is unknown which labels model abc was trained on" in said
    assert call("--template", sample, "--check", file) == 0


def test_without_template_every_decoded_frame_of_every_prediction_gets_a_row(
    pred: Path, tmp_path: Path
) -> None:
    file = tmp_path / "ce.txt"
    assert call("--challenge", "CE", "--pred", pred, "--out", file) == 0
    pictures = [row.split(",")[0] for row in file.read_text().splitlines()[1:]]
    counts = {"12": 3, "12_left": 4, "video1": 2}
    assert pictures == [f"{n}/{i:05d}.jpg" for n, c in counts.items() for i in range(1, c + 1)]


def test_a_list_chooses_the_ids_by_their_whole_names(pred: Path, tmp_path: Path) -> None:
    names, file = write(tmp_path / "list.txt", ["12"]), tmp_path / "au.txt"
    assert call("--challenge", "AU", "--list", names, "--pred", pred, "--out", file) == 0
    assert [row.split("/")[0] for row in file.read_text().splitlines()[1:]] == ["12"] * 3


def test_edition_2_is_a_folder_and_knows_no_other(pred: Path, tmp_path: Path) -> None:
    folder = tmp_path / "expr"
    words = ["--challenge", "EXPR", "--edition", 2]
    assert call(*words, "--pred", pred, "--out", folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["12.txt", "12_left.txt", "video1.txt"]
    assert (folder / "12_left.txt").read_text().splitlines() == [
        "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise",
        *"1234",
    ]
    assert call(*words, "--template", folder, "--check", folder) == 0
    (folder / "12.txt").unlink()
    names = write(tmp_path / "list.txt", ["12", "12_left", "video1"])
    assert call(*words, "--list", names, "--check", folder) == 1


def test_decisions_are_those_of_the_predictions() -> None:
    one = predictions("a", 9)
    assert (decide(one).expr == 7).all()
    assert decide(one, edition=2).expr.tolist() == [i % 7 for i in range(1, 10)]
    assert (decide(one).au == one.decided("au")).all()
    assert (decide(one).va == one.values["va"]).all()


def test_ids_without_predictions_are_refused_by_name(
    pred: Path, sample: Path, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    for name in ("12", "12_left"):
        (pred / f"{name}.parquet").unlink()
    assert call("--template", sample, "--pred", pred, "--out", tmp_path / "va.txt") == 1
    assert "no predictions of 2 listed ids: 12, 12_left; run fusion.predict" in complaint()
    assert not (tmp_path / "va.txt").exists()


def test_a_video_of_another_length_is_refused_unless_it_is_named(
    pred: Path, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    sample = write(tmp_path / "s.txt", [VA, *(f"12/0000{i}.jpg,0,0" for i in range(1, 9))])
    words = ["--template", sample, "--pred", pred, "--out", tmp_path / "va.txt"]
    assert call(*words) == 1
    line = complaint()
    assert "'12' has 3 predicted frames" in line
    remedy = line.split("add ")[1].split()
    assert call(*words, *remedy) == 0


@pytest.mark.parametrize("edition", [2, 9])
def test_all_videos_of_another_length_are_named_at_once(
    pred: Path, tmp_path: Path, complaint: Callable[[], str], edition: int
) -> None:
    """Ready-made crops end with the last face: hundreds of ids, not one id a run."""
    if edition == 2:
        (tmp_path / "s").mkdir()
        for name in ("12", "12_left"):
            write(tmp_path / "s" / f"{name}.txt", ["valence,arousal", *["0,0"] * 8])
        sample = tmp_path / "s"
    else:
        rows = [f"{n}/0000{i}.jpg,0,0" for n in ("12", "12_left") for i in range(1, 9)]
        sample = write(tmp_path / "s.txt", [VA, *rows])
    out = tmp_path / "out"
    words = ["--edition", edition, "--template", sample, "--pred", pred, "--out", out]
    assert call(*words) == 1
    line = complaint()
    assert "'12' has 3 predicted frames" in line
    assert "'12_left' has 4 predicted frames" in line
    assert not out.exists()
    assert call(*words, *line.split("add ")[1].split()) == 0


def test_a_folder_that_cannot_be_written_to_is_found_out_before_the_work(
    pred: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: Callable[[], str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr(submit, "read_decided", lambda *_: pytest.fail("worked in vain"))
    assert call("--pred", pred, "--out", tmp_path / "va.txt") == 1
    assert "permission denied" in complaint()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--edition", 12], "unknown edition 12"),
        (["--edition", 2, "--challenge", "CE"], "unknown challenge 'CE' of edition 2"),
        (["--challenge", "VA"], "--template SAMPLE_SUBMISSION"),
    ],
)
def test_mistakes_are_one_line(
    words: list[object], said: str, complaint: Callable[[], str], monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*words) == 1
    assert said in complaint()


def test_checking_needs_no_torch(sample: Path) -> None:
    import subprocess
    import sys

    code = "import fusion.submit, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_sample_of_edition_2_must_be_a_folder(sample: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        submit.read_asked(SubmitSettings(edition=2, template=sample))


def test_sigmoids_decide_compounds_where_there_are_any(tmp_path: Path) -> None:
    expr = np.full((3, len(EXPRESSIONS)), 0.02, np.float32)
    expr[:, EXPRESSIONS.index("Anger")] = 0.55
    expr[:, EXPRESSIONS.index("Surprise")] = 0.33  # zero-shot: Angrily_Surprised
    compound = np.full((3, 6), 0.1, np.float32)
    basic = list(EXPRESSIONS[1:7])
    compound[1:, basic.index("Sadness")] = 0.9
    compound[1, basic.index("Fear")] = 0.8  # Sadly_Fearful
    compound[2, basic.index("Anger")] = 0.7  # Sadly_Angry
    compound[0, [basic.index("Anger"), basic.index("Surprise")]] = 0.5  # as zero-shot
    said = {}
    for name, sigmoids in {"zero": None, "learnt": compound}.items():
        one = predictions("a", 3, sigmoids)
        one.values["expr"][:] = expr
        write_predictions(one, tmp_path / name)
        file = tmp_path / f"{name}.txt"
        assert call("--challenge", "CE", "--pred", tmp_path / name, "--out", file) == 0
        said[name] = [row.split(",")[1] for row in file.read_text().splitlines()[1:]]
    assert said == {"zero": ["4", "4", "4"], "learnt": ["4", "5", "6"]}


def test_sigmoids_leave_every_other_decision_alone() -> None:
    one = predictions("a", 9)
    with_them = predictions("a", 9, np.full((9, 6), 0.5, np.float32))
    for name in ("va", "expr", "au", "face"):
        np.testing.assert_array_equal(getattr(decide(one), name), getattr(decide(with_them), name))


def only(one: FramePredictions, *tasks: str, **provenance: str) -> FramePredictions:
    """Predictions of some tasks alone."""
    return replace(
        one,
        tasks={name: one.tasks[name] for name in tasks},
        values={name: one.values[name] for name in tasks},
        thresholds={n: limits for n, limits in one.thresholds.items() if n in tasks},
        provenance=provenance,
    )


@pytest.mark.parametrize("learnt", ["", "VA EXPR AU"])
def test_predictions_of_some_tasks_are_submitted_to_their_challenges_alone(
    learnt: str, tmp_path: Path, complaint: Callable[[], str], out: Callable[[], str]
) -> None:
    said = {"learnt": learnt} if learnt else {}
    write_predictions(only(predictions("12", 3), "expr", **said), tmp_path / "pred")
    words = ["--pred", tmp_path / "pred", "--out", tmp_path / "out.txt"]
    assert call("--challenge", "VA", *words) == 1
    assert "has not learnt VA, so there is nothing to submit to VA" in complaint()
    assert not (tmp_path / "out.txt").exists()
    assert call("--challenge", "MTL", *words) == 0
    assert "not learnt, so that these columns mean nothing: VA, AU" in out()
    for challenge, value in {"EXPR": "7", "CE": "4"}.items():
        assert call("--challenge", challenge, *words) == 0
        assert (tmp_path / "out.txt").read_text().splitlines()[1].endswith(f",{value}")
        assert "not learnt" not in out()


def test_a_head_of_compounds_is_enough_for_them(tmp_path: Path, out: Callable[[], str]) -> None:
    compound = np.tile(np.array([0.1, 0.1, 0.1, 0.1, 0.8, 0.9], np.float32), (3, 1))
    one = replace(predictions("12", 3, compound), provenance={"learnt": "COMPOUND"})
    write_predictions(one, tmp_path / "pred")
    file = tmp_path / "out.txt"
    assert call("--challenge", "CE", "--pred", tmp_path / "pred", "--out", file) == 0
    assert [row.split(",")[1] for row in file.read_text().splitlines()[1:]] == ["2"] * 3
    assert "not learnt" not in out()


def test_what_was_not_learnt_is_not_submitted_in_silence(
    pred: Path, tmp_path: Path, complaint: Callable[[], str], out: Callable[[], str]
) -> None:
    for name, frames in {"12": 3, "12_left": 4, "video1": 2}.items():
        said = {"checkpoint": "abc", "learnt": "VA", "chosen": "VA AU", "tasks": "VA"}
        write_predictions(replace(predictions(name, frames), provenance=said), pred)
    file = tmp_path / "out.txt"
    for challenge in ("EXPR", "AU", "CE"):
        assert call("--challenge", challenge, "--pred", pred, "--out", file) == 1
        assert "has not learnt" in complaint()
        assert not file.exists()
    assert call("--challenge", "MTL", "--pred", pred, "--out", file) == 0
    assert "not learnt, so that these columns mean nothing: EXPR, AU" in out()
    assert call("--challenge", "VA", "--pred", pred, "--out", file) == 0
    text = out()
    assert "not learnt" not in text
    assert "rules: edition 11, VA: only VA labels are allowed" in text
    assert "was chosen or tuned by AU labels too" in text
