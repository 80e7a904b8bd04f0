"""Several corpora in one training: names, tracks, people, leaks and bad input."""

import shutil

import numpy as np
import pytest
import torch

from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.corpora import read_corpus
from fusion.data.loading.config import DataSettings
from fusion.data.loading.datamodule import AffectDataModule
from fusion.inference.checkpoint import load_checkpoint
from fusion.model.settings import ModelSettings
from fusion.training.config import TrainSettings
from fusion.training.stages import train
from tests.fusion.small_corpora import put, put_video
from tests.fusion.tiny import write_corpus

EXPR = "EXPR_Recognition_Challenge"
VA = "VA_Estimation_Challenge"


def annotate(root, name, frames=20, split="Train_Set", challenge=VA):
    folder = root / "annotations" / challenge / split
    folder.mkdir(parents=True, exist_ok=True)
    header = "valence,arousal" if challenge == VA else (
        "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
    )  # fmt: skip
    row = "0.5,-0.5" if challenge == VA else "4"
    (folder / f"{name}.txt").write_text("\n".join([header, *[row] * frames]) + "\n")


def put_face(root, name, offset=0.0, frames=20, **info):
    """Every row of `face` holds its time plus the offset; `faces` gives the clock."""
    store, clock = TrackStore(root / "tracks"), np.arange(frames) / 30
    put(store, "faces", name, clock, **info)
    put(store, "face", name, clock, np.repeat(clock[:, None] + offset, 4, 1), **info)


@pytest.fixture
def roots(tmp_path):
    """A main corpus with VA and another with EXPR, each with a training video called `1`."""
    main, other = tmp_path / "main", tmp_path / "other"
    for root, challenge, offset in ((main, VA, 0), (other, EXPR, 100)):
        for name, split in (("1", "Train_Set"), ("2", "Validation_Set")):
            annotate(root, name, split=split, challenge=challenge)
            put_face(root, name, offset)
    return main, other


def module(main, *extra, **settings):
    cut = DataSettings(
        root=main, extra=list(extra), streams=["face"], window=10, stride=10, batch=4, **settings
    )
    return AffectDataModule(read_corpus(main), TrackStore(main / "tracks"), cut)


def test_training_clips_of_all_corpora_are_pooled_and_validation_is_the_main_ones(roots):
    data = module(*roots)
    data.setup("fit")
    assert [clip.id for clip in data.datasets["train"].clips] == ["1", "other/1"]
    assert [clip.id for clip in data.datasets["validation"].clips] == ["2"]
    told = f"train: 1 clip of other ({roots[1]}: ABAW's single-task files)"
    assert told in data.lines()


def test_equal_ids_keep_their_own_tracks_and_labels(roots, tmp_path):
    data = module(*roots, cache=tmp_path / "cache")
    data.setup("fit")
    for batch in data.train_dataloader():
        raw = data.normalisers["face"]
        rows = batch.streams["face"] * raw.std + raw.mean
        other = batch.clip == 1
        assert (rows[other] > 99).all()
        assert (rows[~other] < 1).all()
        assert torch.equal(batch.targets["expr"].mask.all(1), other)
        assert torch.equal(batch.targets["va"].mask.all(1), ~other)


def test_sound_of_each_corpus_is_aligned_apart_in_one_cache(tmp_path):
    for root, late in ((tmp_path / "a", 0.0), (tmp_path / "b", 0.05)):
        for name, split in (("1", "Train_Set"), ("2", "Validation_Set")):
            annotate(root, name, split=split)
            put_video(TrackStore(root / "tracks"), name, 20, late=late)
    cut = DataSettings(
        root=tmp_path / "a", extra=[tmp_path / "b"], streams=["voice"], cache=tmp_path / "cache",
        window=20, stride=20,
    )  # fmt: skip
    data = AffectDataModule(read_corpus(tmp_path / "a"), TrackStore(tmp_path / "a/tracks"), cut)
    data.setup("fit")
    first, second = (one.streams["voice"].path for one in data.datasets["train"].streams)
    assert first.is_relative_to(tmp_path / "cache/voice")
    assert second.is_relative_to(tmp_path / "cache/b")


def test_corpora_of_one_folder_name_get_a_number(roots, tmp_path):
    twin = tmp_path / "elsewhere/other"
    shutil.copytree(roots[1], twin)
    data = module(*roots, twin)
    assert data.extra == ["other", "other#2"]
    assert [c.id for c in data.splits["train"]] == ["1", "other/1", "other#2/1"]


def test_people_link_across_corpora_only_by_name_and_held_out_ones_are_not_trained_on(roots):
    main, other = roots
    annotate(other, "3", challenge=EXPR)
    put_face(other, "3")
    assert {c.group for c in module(main, other).splits["train"]} == {"1", "other/1", "other/3"}
    (main / "people.csv").write_text("id,person\n1,ann\n2,bob\n")
    (other / "people.csv").write_text("id,person\n1,ann\n3,bob\n")
    data = module(main, other)
    assert {clip.id: clip.group for clip in data.splits["train"]} == {"1": "ann", "other/1": "ann"}
    text = "\n".join(data.lines())
    assert "train: held out in the main corpus, left out 1 clip (other/3)" in text


def test_a_video_that_the_main_corpus_holds_out_is_not_trained_on_under_another_name(roots):
    main, other = roots
    put_face(main, "2", source="a" * 64)
    put_face(other, "1", source="a" * 64)
    annotate(other, "3", challenge=EXPR)
    put_face(other, "3", source="b" * 64)
    assert [clip.id for clip in module(main, other).splits["train"]] == ["1", "other/3"]


def test_a_stream_that_one_corpus_lacks_is_masked_there(roots):
    for name in ("1", "2"):
        put(TrackStore(roots[0] / "tracks"), "voice", name, np.arange(20) / 30, person="sound")
    cut = DataSettings(
        root=roots[0], extra=[roots[1]], streams=["face", "voice"], window=10, stride=10
    )
    data = AffectDataModule(read_corpus(roots[0]), TrackStore(roots[0] / "tracks"), cut)
    data.setup("fit")
    assert "train: no 'voice': 1 clip (other/1)" in data.lines()


def test_stores_of_other_encoders_are_refused_naming_both(roots):
    main, other = roots
    put_face(other, "1", revision="r2")
    put_face(other, "2", revision="r2")
    with pytest.raises(UserError, match=rf"net r1.*{main}/tracks.*net r2.*{other}/tracks") as error:
        module(main, other)
    assert "\n" not in str(error.value)


def test_folders_that_cannot_be_a_further_corpus_are_refused(roots, tmp_path):
    main, other = roots
    for twice in ([main], [other, other]):
        with pytest.raises(UserError, match="given twice"):
            module(main, *twice)
    annotate(tmp_path / "empty", "1", split="Validation_Set")
    with pytest.raises(UserError, match="empty: no training clips"):
        module(main, tmp_path / "empty")
    annotate(tmp_path / "bare", "1")
    with pytest.raises(UserError, match="no stream 'face'"):
        module(main, tmp_path / "bare")


def test_a_clip_in_the_sets_of_two_tasks_carries_the_labels_of_both(roots):
    main, _ = roots
    annotate(main, "1", challenge=EXPR)
    data = module(main)
    data.setup("fit")
    for batch in data.train_dataloader():
        assert batch.targets["va"].mask.all()
        assert batch.targets["expr"].mask.all()
        assert (batch.targets["expr"].values == 4).all()
        assert (batch.targets["va"].values[..., 0] == 0.5).all()


def test_any_data_set_is_a_further_corpus_of_any_other(tmp_path):
    abaw, own, acted = tmp_path / "abaw", tmp_path / "own", tmp_path / "acted"
    for name, split in (("1", "Train_Set"), ("2", "Validation_Set")):
        annotate(abaw, name, split=split)
        put_face(abaw, name)
    put_face(own, "talk")
    put_face(own, "held")
    rows = ["id,split,frame,AU12", *(f"talk,,{i},{i % 2}" for i in range(1, 21)), "held,test,1,1"]
    (own / "labels.csv").write_text("\n".join(rows) + "\n")
    name = "01-01-05-01-02-01-12"
    put_face(acted, name)
    (acted / f"{name}.mp4").touch()
    settings = TrainSettings(
        runs=tmp_path / "runs",
        epochs=1,
        model=ModelSettings(
            dim=16,
            stream_dim=8,
            tcn_levels=1,
            temporal={"name": "transformer", "layers": 1, "heads": 2},
        ),
        data=DataSettings(
            root=abaw, extra=[own, acted], streams=["face"], window=10, stride=10, mix="tasks"
        ),
    )
    checkpoint = load_checkpoint(train(settings))
    assert checkpoint.provenance["train_clips"] == ["1", "own/talk", f"acted/{name}"]
    assert checkpoint.provenance["corpus"] == "abaw + own + acted"
    data = module(*(abaw, own, acted))
    data.setup("fit")
    lines = data.lines()
    assert f"train: 1 clip of own ({own}: a table labels.csv)" in lines
    assert f"train: 1 clip of acted ({acted}: RAVDESS)" in lines
    by_id = {clip.id: labels for clip, labels in zip(
        data.datasets["train"].clips, data.datasets["train"].labels, strict=True
    )}  # fmt: skip
    assert by_id["1"].tasks() == ["va"]
    assert by_id["own/talk"].tasks() == ["au"]
    assert by_id["own/talk"]["au"].values[:, 6].tolist() == [1.0, 0.0] * 10
    assert by_id[f"acted/{name}"].tasks() == ["expr", "emotions"]  # the latter is no target
    assert (by_id[f"acted/{name}"]["expr"].values == 1).all()  # anger, in every frame
    swapped = module(own, abaw, acted)  # a table first, ABAW beside it
    assert {"abaw/1", f"acted/{name}"} <= {clip.id for clip in swapped.splits["train"]}


def test_a_run_on_two_corpora_is_trained_with_an_even_mix_and_told_in_its_checkpoint(
    tmp_path, capsys
):
    for name in ("main", "other"):
        write_corpus(tmp_path / name)
    shutil.rmtree(tmp_path / "other/annotations/VA_Estimation_Challenge")
    settings = TrainSettings(
        runs=tmp_path / "runs",
        epochs=1,
        model=ModelSettings(dim=16, stream_dim=8, tcn_levels=2),
        data=DataSettings(
            root=tmp_path / "main", extra=[tmp_path / "other"], streams=["face", "voice"],
            window=16, stride=10, mix="tasks", sampling="balanced", adapt="person",
        ),
    )  # fmt: skip
    best = train(settings)
    checkpoint = load_checkpoint(best)
    assert checkpoint.provenance["corpus"] == "main + other"
    assert checkpoint.provenance["train_clips"] == ["1", "2", "other/1", "other/2"]
    assert checkpoint.config["data"]["extra"] == [str(tmp_path / "other")]
    assert checkpoint.adaptation.kind == "person"
    assert "windows of va 8, expr 16, au 16" in capsys.readouterr().out
    train(settings)
    assert "finished before" in capsys.readouterr().out
