"""fusion from a script or a notebook: three lines, with nothing left behind."""

import doctest
import importlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

import features
import fusion
from features.errors import UserError
from features.media import read_frames
from fusion import evaluate, predict
from fusion.api.pretrained import find_checkpoint
from fusion.corpora import read_corpus
from fusion.data.prediction_files import list_predictions, write_predictions
from fusion.data.predictions import FramePredictions
from fusion.evaluate import EvaluateSettings, LabelledSettings
from fusion.inference.checkpoint import load_checkpoint, write_assembly, write_decision
from fusion.inference.payload import KEY, read_payload
from fusion.inference.predictor import clips_of_store, predict_clips
from fusion.postprocess.decision import Decision
from tests.fusion.tiny import made_state, write_labels
from tests.media import face_frame, tone, write_video

DOCUMENTED = ("fusion.api.affect", "fusion.api.predictions", "fusion.api.training")
SPLITS = {"a": "Train_Set", "b": "Train_Set", "c": "Validation_Set", "d": "Validation_Set"}
FRAMES, FPS = 10, 10
ENCODERS = ["expression", "prosody"]
SMALL = {
    "data": {"streams": ENCODERS, "window": 8, "stride": 6, "batch": 2},
    "model": {"dim": 16, "stream_dim": 8, "tcn_levels": 1},
    "epochs": 2,
}


def film(path: Path, shift: int) -> Path:
    frames = [face_frame(192, 160, [(80 + shift + i, 80)], size=110) for i in range(FRAMES)]
    return write_video(path, frames, fps=FPS, sound=tone(FRAMES / FPS, hertz=200.0 + 60 * shift))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with talk.mp4, a corpus with tracks, and a model trained on it in runs/tiny."""
    here = tmp_path_factory.mktemp("api")
    film(here / "talk.mp4", 9)
    extractor = features.FeatureExtractor(ENCODERS, device="cpu")
    (here / "videos").mkdir()
    for number, (name, split) in enumerate(SPLITS.items()):
        clip = film(here / "videos" / f"{name}.mp4", 6 * number)
        extractor(clip, store=here / "corpus/tracks")
        write_labels(here / "corpus/annotations", name, split, made_state(number, FRAMES))
    data = {"data.root": here / "corpus"}
    fusion.fit("mtl", data, runs=here / "runs", name="tiny", **SMALL)
    return here


@pytest.fixture(scope="module")
def best(here: Path) -> Path:
    return here / "runs/tiny/best.ckpt"


@pytest.fixture(scope="module")
def affect(best: Path) -> fusion.Affect:
    return fusion.Affect.from_pretrained(best, device="cpu")


@pytest.fixture(scope="module")
def person(affect: fusion.Affect, here: Path) -> fusion.Predictions:
    (person,) = affect(here / "talk.mp4")
    return person


@pytest.fixture
def tuned(best: Path, tmp_path: Path) -> Path:
    """The model with a decision of its own."""
    state = Decision.neutral(load_checkpoint(best, "cpu").tasks).state()
    state["au"]["thresholds"] = [0.25] * 12
    decision = Decision.from_state(state, load_checkpoint(best, "cpu").tasks)
    known = {"decided": {"on": {"au": {"c": ""}}, "by_fold": []}}
    write_decision(best, tmp_path / "tuned.ckpt", decision, known)
    return tmp_path / "tuned.ckpt"


def same(one: FramePredictions, other: FramePredictions) -> bool:
    values = all(np.array_equal(one.values[name], other.values[name]) for name in one.values)
    return values and np.array_equal(one.times, other.times) and one.video == other.video


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstrings_run(
    name: str, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(here, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    names = {"fusion": fusion, "Affect": fusion.Affect}
    failed, tried = doctest.testmod(importlib.import_module(name), extraglobs=names)
    assert tried
    assert not failed


def test_all_public_names_are_there_and_listed() -> None:
    for name in fusion.__all__:
        assert getattr(fusion, name).__doc__
        assert name in dir(fusion)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fusion.nothing


def test_no_public_name_is_a_command_whose_import_would_take_its_place() -> None:
    modules = {path.stem for path in Path(fusion.__file__).parent.iterdir()}
    assert not modules & set(fusion.__all__)


def test_import_loads_nothing_heavy() -> None:
    code = "import fusion, sys; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(eval(done.stdout)) & {"numpy", "torch", "pandas", "yaml", "matplotlib"}


def test_people_are_those_of_the_command(
    here: Path, best: Path, tmp_path: Path, person: fusion.Predictions
) -> None:
    words = ["--checkpoint", str(best), "--input", str(here / "talk.mp4"), "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as stop:
        predict.main(argv=[*words, "--device", "cpu"])
    assert stop.value.code == 0
    found = fusion.Predictions.read(tmp_path / "talk.parquet")
    assert same(found, person)
    assert found.provenance == person.provenance
    assert found.thresholds.keys() == person.thresholds.keys()


def test_a_table_has_the_columns_of_the_file_and_what_belongs_to_all_rows(
    person: fusion.Predictions, tmp_path: Path
) -> None:
    table = person.to_pandas()
    pd.testing.assert_frame_equal(table, pd.read_parquet(person.save(tmp_path / "x.parquet")))
    assert table.attrs["video"] == "talk"
    assert list(table.attrs["tasks"]) == ["va", "expr", "au"]
    assert table.attrs["provenance"]["source file"].endswith("talk.mp4")
    assert len(table) == FRAMES


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_what_is_saved_is_read_again(person: fusion.Predictions, tmp_path: Path, name: str) -> None:
    assert person.save(str(tmp_path / name)) == tmp_path / name
    found = fusion.Predictions.read(tmp_path / name)
    assert same(found, person)
    assert found.provenance == person.provenance


def test_another_ending_is_refused(person: fusion.Predictions, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.xlsx: .*\.parquet or \.csv"):
        person.save(tmp_path / "x.xlsx")
    assert not list(tmp_path.iterdir())


def test_a_plot_is_a_figure_that_a_notebook_shows(person: fusion.Predictions) -> None:
    figure = person.plot()
    assert isinstance(figure, Figure)
    titles = {axes.get_ylabel() for axes in figure.axes}
    assert {"valence", "arousal", "expression", "action units"} <= titles
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    assert matplotlib.pyplot.get_fignums() == []


def test_a_plot_shows_the_truth_where_it_is_given(person: fusion.Predictions, here: Path) -> None:
    labels = next(clip.labels for clip in read_corpus(here / "corpus") if clip.id == "c")
    lines = [axes.get_legend_handles_labels()[1] for axes in person.plot(labels).figure.axes]
    assert ["truth", "predicted"] in lines
    assert ["truth", "predicted"] not in [
        axes.get_legend_handles_labels()[1] for axes in person.plot().figure.axes
    ]


def test_arrays_give_what_the_file_gives(
    affect: fusion.Affect, here: Path, person: fusion.Predictions
) -> None:
    from features.media.sound.audio import native_sound

    (block,) = read_frames(here / "talk.mp4", 16)
    sound = native_sound(here / "talk.mp4")
    assert sound is not None
    samples = np.concatenate(list(sound.blocks))
    heard = {"samples": samples, "rate": sound.rate, "start": sound.offset}
    (found,) = affect(frames=block.images, times=block.times, name="talk", **heard)
    assert same(found, person)
    heard["start"] += 0.4
    (late,) = affect(frames=block.images, times=block.times, name="talk", **heard)
    assert not same(late, person)
    with pytest.raises(UserError, match="not both"):
        affect(here / "talk.mp4", samples=samples, rate=sound.rate)
    with pytest.raises(UserError, match="neither frames nor samples"):
        affect()


def test_a_script_needs_no_guard_prints_nothing_and_leaves_nothing_behind(
    here: Path, best: Path, tmp_path: Path
) -> None:
    code = f"""
import multiprocessing, os, sys, tempfile
before = dict(os.environ)
from fusion import Affect
import torch
torch.set_num_threads(3)
people = Affect.from_pretrained({str(best)!r}, device="cpu")({str(here / "talk.mp4")!r})
people[0].to_pandas(); people[0].plot(); repr(people)
import fusion
fusion.fit, fusion.score, fusion.AffectModule
assert dict(os.environ) == before
assert torch.get_num_threads() == 3
assert not multiprocessing.active_children()
"""
    beside = sorted(here.iterdir())
    words, environment = [sys.executable, "-"], {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        words, input=code, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(here.iterdir()) == beside
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("affuse")]


def test_progress_rises_to_one(affect: fusion.Affect, here: Path) -> None:
    told: list[float] = []
    affect(here / "talk.mp4", progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 1


def test_a_named_store_is_kept(affect: fusion.Affect, here: Path, tmp_path: Path) -> None:
    affect(here / "talk.mp4", store=tmp_path / "kept")
    assert features.TrackStore(tmp_path / "kept").ids("expression") == ["talk"]
    assert not (tmp_path / "kept/.aligned").exists()


def test_a_model_of_other_features_is_refused(best: Path, here: Path) -> None:
    other = fusion.Affect.from_pretrained(best, device="cpu", prosody={"mel_bands": 8})
    with pytest.raises(UserError, match="prosody"):
        other(here / "talk.mp4")


def test_a_model_is_found_by_file_folder_and_name(
    best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_checkpoint(best) == find_checkpoint(str(best.parent)) == best
    for name in ("one.ckpt", "two.ckpt"):
        shutil.copy(best, tmp_path / name)
        if name == "one.ckpt":
            assert find_checkpoint(tmp_path) == tmp_path / name
    with pytest.raises(UserError, match=r"several checkpoints \(one.ckpt, two.ckpt\)"):
        find_checkpoint(tmp_path)
    (tmp_path / "empty").mkdir()
    for place in ("empty", "gone.ckpt", "a/b/c"):
        with pytest.raises(UserError, match=rf"{place}: no .*fusion.train makes one"):
            find_checkpoint(tmp_path / place)


def test_a_name_of_the_hub_is_looked_for_in_the_cache_then_fetched(
    best: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[bool] = []

    def cached(repo_id: str, local_files_only: bool = False, **_: object) -> str:
        asked.append(local_files_only)
        if local_files_only and repo_id == "lab/new":
            raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
        return str(best.parent)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    monkeypatch.chdir(best.parent)
    assert find_checkpoint("lab/known").name == "best.ckpt"
    assert asked == [True]
    assert find_checkpoint("lab/new").name == "best.ckpt"
    assert asked == [True, True, False]


def test_a_name_of_the_hub_without_a_connection_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError) as error:
        find_checkpoint("lab/nothing-of-the-kind")
    assert str(error.value).startswith("lab/nothing-of-the-kind: no such file or folder here")
    assert "\n" not in str(error.value)


def test_a_model_shows_itself_in_ten_lines(affect: fusion.Affect, best: Path, tuned: Path) -> None:
    lines = repr(load_checkpoint(best, "cpu")).splitlines()
    assert len(lines) <= 10
    text = "\n".join(lines)
    for word in ("VA", "EXPR", "AU", "expression", "prosody", "corpus, 2 clips, 2", "neutral"):
        assert word in text
    assert repr(affect).splitlines()[1:] == lines[1:]
    assert repr(affect).startswith(f"Affect {best}, revision")
    decided = repr(load_checkpoint(tuned, "cpu"))
    assert "tuned on 1 clip" in decided
    assert "AU1 0.25" in decided
    assert "neutral" not in decided


def test_what_a_model_has_not_learnt_is_said(
    here: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = {"tasks.expr.weight": 0, "tasks.au.weight": 0, "data.root": here / "corpus"}
    result = fusion.fit("mtl", tasks, runs=tmp_path, **SMALL)
    one = fusion.Affect.from_pretrained(result.checkpoint, device="cpu")
    assert "not learnt  EXPR, AU" in repr(one)
    one(here / "talk.mp4")
    assert "not learnt, so that these columns mean nothing: EXPR, AU" in caplog.messages


def test_lightning_loads_the_module(best: Path) -> None:
    module = fusion.AffectModule.load_from_checkpoint(best)
    held = read_payload(best)
    assert module.training
    state = module.state_dict()
    assert state.keys() == held["state_dict"].keys()
    assert all(torch.equal(state[key], held["state_dict"][key]) for key in state)
    assert any(key.startswith("loss.") for key in state)
    assert module.payload["config"] == held[KEY]["config"]
    assert list(module.judges) == ["va", "expr", "au"]
    assert module.optimizer_settings.lr == held[KEY]["config"]["optimizer"]["lr"]


def test_lightning_refuses_what_was_put_together_of_stages(best: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    write_assembly(path, {"va": best, "expr": best}, config={}, provenance={})
    with pytest.raises(UserError, match="several stages"):
        fusion.AffectModule.load_from_checkpoint(path)


@pytest.fixture
def untouched() -> Iterator[None]:
    """Fails if environment, threads or random numbers are others afterwards."""

    def found() -> tuple[dict[str, str], int]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        return environment, torch.get_num_threads()

    before = found()
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    numbers = torch.rand(1).item(), random.random(), np.random.rand()
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    yield
    assert found() == before
    assert (torch.rand(1).item(), random.random(), np.random.rand()) == numbers


@pytest.mark.usefixtures("untouched")
def test_fit_trains_a_recipe_silently(
    here: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[float] = []
    data = {"data.root": here / "corpus", "optimizer.lr": 0.002}
    result = fusion.fit("mtl", data, name="x", progress=told.append, **SMALL)
    assert result.checkpoint == Path("runs/x/best.ckpt")
    assert result.checkpoint.is_file()
    assert told == [0.5, 1.0, 1.0]
    config = read_payload(result.checkpoint)[KEY]["config"]
    assert (config["optimizer"]["lr"], config["model"]["dim"]) == (0.002, 16)
    assert config["data"]["window"] == 8
    assert capfd.readouterr() == ("", "")
    score = fusion.score(result.checkpoint, here / "corpus", draws=0)
    assert score["P"] == pytest.approx(result.scores["P"])


def test_fit_tells_its_lines_to_the_log(
    here: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="fusion")
    fusion.fit("mtl", {"data.root": here / "corpus"}, runs=tmp_path, **SMALL | {"epochs": 1})
    assert any(line.startswith("epoch 1/1  train/total") for line in caplog.messages)


def test_fit_of_folds_has_a_checkpoint_each(here: Path, tmp_path: Path) -> None:
    data = {"data.root": here / "corpus", "folds": 2}
    result = fusion.fit("mtl", data, runs=tmp_path, name="f", **SMALL | {"epochs": 1})
    folder = tmp_path / "f"
    assert result.checkpoints == (folder / "fold0/best.ckpt", folder / "fold1/best.ckpt")
    assert "P" in result.scores
    with pytest.raises(UserError, match=r"several runs \(fold0, fold1\)"):
        _ = result.checkpoint


def test_settings_are_checked_as_those_of_the_command_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown setting 'epoch'; did you mean 'epochs'"):
        fusion.fit("mtl", epoch=1)
    with pytest.raises(UserError, match="did you mean 'mtl'"):
        fusion.fit("mlt")
    (tmp_path / "x.ckpt").touch()
    with pytest.raises(UserError, match="score: unknown setting 'draw'"):
        fusion.score(tmp_path / "x.ckpt", draw=1)


def test_settings_may_be_given_as_they_are(here: Path, tmp_path: Path) -> None:
    from fusion.api.training import settings_of

    settings = fusion.TrainSettings(name="mine", epochs=7)
    changed = settings_of(settings, {"model": {"dim": 32}})
    assert (changed.name, changed.epochs, changed.model.dim) == ("mine", 7, 32)
    assert settings.model.dim != 32


def test_scores_are_those_of_evaluate_with_intervals(here: Path, best: Path) -> None:
    result = fusion.score(best.parent, here / "corpus", draws=50, seed=3)
    data = LabelledSettings(root=here / "corpus")
    own = EvaluateSettings(checkpoint=best, data=data, draws=50, seed=3)
    evaluation = evaluate.evaluate_clips(own)
    assert result.scores == own.rules.scores(evaluation)
    assert result.intervals["P"] == own.rules.intervals(evaluation)["P"]
    table = result.to_pandas().set_index("score")
    assert table.loc["P", "value"] == result["P"]
    assert "training chose its epoch on 2 of 2 clips" in repr(result)


def test_stored_predictions_are_scored_too(
    here: Path, best: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = features.TrackStore(here / "corpus/tracks")
    checkpoint = load_checkpoint(best, "cpu")
    clips = [clip for clip in clips_of_store(store) if clip.id == "c"]
    for one in predict_clips(checkpoint, store, clips, cache=tmp_path / "aligned"):
        write_predictions(one, tmp_path / "kept")
    assert list(list_predictions(tmp_path / "kept")) == ["c"]
    result = fusion.score(tmp_path / "kept", here / "corpus", draws=0)
    assert result.evaluation.missing == ["d"]
    assert any("not scored: d" in line for line in caplog.messages)
    with pytest.raises(UserError, match="trained on"):
        fusion.score(best, here / "corpus", split="train")
