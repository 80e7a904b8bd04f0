import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import save_file

from experiments.studies.encoders import encoders, probe_rows
from experiments.studies.encoders.baselines import XceptionNet
from experiments.studies.encoders.encoders import EncodersSettings, command
from experiments.studies.encoders.probe_data import (
    Cache,
    FaceSet,
    read_ck,
    read_fer_train,
    read_yale,
    split_lfw,
)
from experiments.studies.encoders.probe_rows import Row, as_crops, embedding, encode, pool, size_of
from experiments.studies.encoders.probe_table import compare_identity, compare_whisper, table
from features.cli.app import parse
from features.encoders.audio.whisper import WhisperEncoder, WhisperSettings
from features.encoders.registry import EncoderSettings, build_encoder
from features.encoders.visual.expression import ExpressionEncoder
from features.errors import UserError
from tests.features.encoders.audio.test_whisper import checkpoint  # noqa: F401  (a fixture)

ROWS = ["pixels + PCA", "mini XCEPTION", "LBP + LDA (identity)", "prosody", "log-mel"]


def packed(pictures: list[np.ndarray], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Compressed pictures one after the other, and where they begin and end."""
    parts = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind, quality=90)
        parts.append(file.getvalue())
    offsets = np.cumsum([0, *map(len, parts)])
    return np.frombuffer(b"".join(parts), np.uint8), offsets


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the shared data, of noise."""
    root, rng = tmp_path_factory.mktemp("shared"), np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, shape).astype(np.uint8)

    for folder in ("fer2013", "faces", "ravdess/audio/Actor_01", "encoders/mini-xception"):
        (root / folder).mkdir(parents=True)
    to_abaw, labels = np.array([1, 2, 3, 4, 0, 5, 6]), (np.arange(70) % 7).astype(np.uint8)
    webp, offsets = packed(list(noise(70, 48, 48)), "webp")
    same_as = np.arange(70, dtype=np.int32)
    same_as[8] = 1
    np.savez(root / "fer2013/train.npz", webp=webp, offsets=offsets, labels=labels,
             to_abaw=to_abaw, same_as=same_as, in_test=np.arange(70) < 1)  # fmt: skip
    np.savez(root / "fer2013/test.npz", images=noise(70, 48, 48), labels=labels,
             to_abaw=to_abaw, in_train=np.arange(70) < 2)  # fmt: skip
    people = np.repeat(np.arange(10), 6)
    np.savez(root / "faces/ckplus48.npz", images=noise(60, 48, 48), labels=np.arange(60) // 3 % 2,
             abaw=np.arange(60) // 3 % 2, subjects=people, sequence=np.arange(60) // 3)  # fmt: skip
    who = np.concatenate([np.repeat([0, 1, 2], 10), np.repeat(np.arange(3, 10), 4)])
    jpeg, offsets = packed(list(noise(len(who), 112, 112, 3)), "jpeg")
    np.savez(root / "faces/lfw_expressions.npz", jpeg=jpeg, offsets=offsets, identity=who,
             abaw=np.zeros(len(who), np.int8))  # fmt: skip
    conditions = np.array(["normal", "happy", "sad", "wink", "sleepy", "glasses"] * 2)
    np.savez(root / "faces/yale.npz", images=noise(12, 112, 112), subjects=np.repeat([1, 2], 6),
             conditions=conditions)  # fmt: skip
    np.savez(root / "faces/orl.npz", images=noise(10, 112, 92), subjects=np.repeat([1, 2], 5))
    np.savez(root / "ravdess/faces_actor01.npz", frames=noise(4, 3, 112, 112),
             emotion_code=np.array([1, 3, 5, 8]))  # fmt: skip
    lines = ["clip,actor,emotion_code,fold"]
    for clip in range(40):
        tone = 0.3 * np.sin(np.arange(4000) * (0.05 + 0.2 * (clip % 2)))
        soundfile.write(root / f"ravdess/audio/Actor_01/c{clip}.flac", tone, 16000)
        lines.append(f"c{clip},01,{1 + clip % 2},{clip // 8}")
    (root / "ravdess/labels.csv").write_text("\n".join(lines))
    torch.manual_seed(0)
    save_file(XceptionNet().state_dict(), root / "encoders/mini-xception/model.safetensors")
    return root


@pytest.fixture(scope="module")
def tables(data: Path, tmp_path_factory: pytest.TempPathFactory) -> EncodersSettings:
    """Settings of a run that is done."""
    out = tmp_path_factory.mktemp("out")
    settings = EncodersSettings(
        data=data, out=out / "encoders", cache=out / "cache", only=[*ROWS, "facenet"], threads=1
    )
    assert command(settings) == 0
    return settings


def rows_of(settings: EncodersSettings) -> dict[str, dict[str, str]]:
    with settings.out.with_suffix(".csv").open(encoding="utf-8") as file:
        return {row["encoder"]: row for row in csv.DictReader(file)}


def test_every_row_has_its_figures(tables: EncodersSettings) -> None:
    rows, text = rows_of(tables), tables.out.with_suffix(".md").read_text(encoding="utf-8")
    assert list(rows) == ROWS
    for name, row in rows.items():
        assert f"| {name} |" in text
        assert float(row["per second, CPU"]) > 0
        wanted = ["FER probe", "CK+ probe", "triplets", "id lfw", "id ck", "id yale", "id orl"]
        for column in wanted if row["kind"] == "visual" else ["stream"]:
            assert 0 <= float(row[column]) <= 1, (name, column)
            assert float(row[f"{column} error"]) >= 0
    assert rows["mini XCEPTION"]["parameters"] == "56951"
    assert rows["mini XCEPTION"]["Actor-01 clips"]
    assert not rows["pixels + PCA"]["FER"]
    assert float(rows["log-mel"]["stream"]) == 1.0  # two tones, two classes


def test_the_table_says_how_it_was_made(tables: EncodersSettings) -> None:
    text = tables.out.with_suffix(".md").read_text(encoding="utf-8")
    assert "68 of 70 test pictures are no copies" in text
    # One is a copy of a test picture, one of another training picture.
    assert "trained on 68 training pictures" in text
    assert "no face found: lfw 30 of 30, yale 10 of 10, orl 10 of 10, actor01 8 of 8" in text
    assert "facenet is left out: needs weights" in text
    assert str(Path.home()) not in text
    assert "Against the face recognition embedding 'LBP + LDA (identity)'" in text


def test_a_second_run_encodes_nothing(
    tables: EncodersSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encoded(*_: object) -> None:
        raise AssertionError("encoded again")

    for name in ("encode", "pool"):
        monkeypatch.setattr(probe_rows, name, encoded)
    before = rows_of(tables)
    again = replace(tables, out=tables.out.with_name("again"), only=["mini XCEPTION", "log-mel"])
    assert command(again) == 0
    after = rows_of(again)
    for name, row in ((name, before[name]) for name in again.only):
        speeds = {column for column in row if column.startswith("per second")}
        assert {c: v for c, v in row.items() if c not in speeds} == {
            c: v for c, v in after[name].items() if c not in speeds
        }


@pytest.mark.parametrize("lost", ["fer2013/train.npz", "faces/orl.npz"])
def test_missing_data_is_one_line(data: Path, tmp_path: Path, lost: str) -> None:
    copy = tmp_path / "shared"
    copy.mkdir()
    for folder in data.iterdir():
        (copy / folder.name).mkdir()
        for file in folder.iterdir():
            if f"{folder.name}/{file.name}" != lost:
                (copy / folder.name / file.name).symlink_to(file)
    settings = EncodersSettings(
        data=copy, out=tmp_path / "t", cache=tmp_path / "c", only=["pixels + PCA"]
    )
    with pytest.raises(UserError, match=rf"{lost}: absent; .*--data DIR"):
        command(settings)
    with pytest.raises(UserError, match="nowhere: absent"):
        command(replace(settings, data=tmp_path / "nowhere"))


def test_an_unknown_row_is_one_line(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no row 'exprssion'"):
        command(EncodersSettings(data=data, out=tmp_path / "t", only=["exprssion"]))


def test_encoders_have_their_usual_options() -> None:
    settings = parse(
        EncodersSettings,
        prog="experiments.studies.encoders.encoders",
        description="",
        argv=["--mae.model", "folder", "--quick", "true"],
    )
    assert settings.mae.model == "folder"
    assert settings.quick


def test_training_pictures_are_drawn_the_same_each_time(data: Path) -> None:
    first, second = read_fer_train(data, 20), read_fer_train(data, 20)
    assert len(first) == 20
    assert (first.faces == second.faces).all()
    assert first.key != read_fer_train(data, 19).key


def test_yale_has_no_normal_twins(data: Path, tmp_path: Path) -> None:
    assert len(read_yale(data, Cache(tmp_path))) == 10


def test_identity_stand_in_learns_only_strangers() -> None:
    people = np.repeat([0, 1, 2], [12, 9, 10])
    index = np.arange(len(people))
    lfw = FaceSet("lfw", np.zeros((len(people), 1)), index, people, index, "key")
    probed, strangers = split_lfw(lfw)
    assert set(probed.people) == {0, 2}
    assert set(strangers.people) == {1}
    assert probed.key != strangers.key


def test_framed_faces_come_back_from_their_place_in_a_crop() -> None:
    y, x = np.mgrid[:48, :48]
    face = (100 + 60 * np.sin(x / 7) + 60 * np.cos(y / 5)).astype(np.uint8)[None]
    encoder = ExpressionEncoder()
    direct, placed = encoder.encode_grey(face), encoder.encode_faces(as_crops(face))
    assert placed["expression"] == pytest.approx(direct["expression"], abs=0.3)
    assert (as_crops(face)[0, 0, 10:100] == as_crops(face)[0, 16, 10:100]).all()


def test_levels_of_a_pyramid_are_joined_without_probabilities() -> None:
    streams = {"p.1": np.ones((2, 3)), "p.2": np.ones((2, 4)), "p.probs": np.ones((2, 7))}
    assert embedding(streams, "p").shape == (2, 7)
    assert embedding(streams | {"p": np.ones((2, 5))}, "p").shape == (2, 5)


def test_layers_are_those_that_the_encoder_itself_would_give(
    checkpoint: Path,  # noqa: F811
    data: Path,
) -> None:
    speech = encoders.read_speech(data, 20)
    pooled = pool(WhisperEncoder(WhisperSettings(model=str(checkpoint))), speech)
    for layer in range(pooled["layers"].shape[1]):
        settings = WhisperSettings(model=str(checkpoint), layers=[layer + 1])
        one = pool(WhisperEncoder(settings), speech)
        assert pooled["layers"][:, layer] == pytest.approx(one["stream"], abs=1e-5)


def test_a_killed_computation_leaves_nothing_behind_that_counts(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path / "cache"), []

    def compute(value: float) -> Callable[[], dict[str, np.ndarray]]:
        def run() -> dict[str, np.ndarray]:
            made.append(value)
            return {"x": np.array([value])}

        return run

    cache.folder.mkdir()
    (cache.folder / "name-other.partial").write_bytes(b"half")
    assert cache.get("name", "key", compute(1.0))["x"] == [1.0]
    assert cache.get("name", "key", compute(2.0))["x"] == [1.0]
    assert cache.get("name", "other key", compute(3.0))["x"] == [3.0]
    assert made == [1.0, 3.0]


def made_row(name: str, probe: float, leak: float) -> Row:
    row, wobble = Row(name, 1, 1.0, 1), np.array([-0.01, 0.01])
    row.add_folds("CK+ probe", probe + wobble)
    row.add_folds("id orl", leak + wobble)
    row.add_folds("stream", probe + wobble)
    return row


def test_comparisons_are_paired_and_judged() -> None:
    good, bad = made_row("good", 0.9, 0.2), made_row("bad", 0.9, 0.8)
    identity, whisper = made_row("facenet", 0.7, 0.6), made_row("whisper", 0.8, 0.0)
    text = "\n".join(compare_identity([good, bad, identity]))
    assert "good: CK+ probe +0.200 ± 0.000, leak -0.400 ± 0.000: holds" in text
    assert "bad: CK+ probe +0.200 ± 0.000, leak +0.200 ± 0.000: does not hold" in text
    assert "good: CK+ probe +0.100" in "\n".join(compare_whisper([good, whisper]))
    assert "stream +0.100 ± 0.000" in "\n".join(compare_whisper([good, whisper]))


def test_rows_of_unlike_columns_make_a_whole_table() -> None:
    one, other = made_row("one", 0.5, 0.5), Row("other", 1000, 1.0, 1, {"CPU": 7.0})
    lines = table([one, other]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "1,000" in lines[-1]


def test_real_ck_plus_is_read_as_documented() -> None:
    from tests.shared import shared_data

    ck, classes = read_ck(shared_data())
    assert (len(ck), len(np.unique(ck.groups)), len(np.unique(ck.people))) == (981, 327, 118)
    assert np.bincount(classes).tolist() == [135, 54, 177, 75, 207, 84, 249]
    assert (ck.labels < 0).sum() == 54


def test_encode_gives_framed_faces_to_grey_encoders_as_they_are() -> None:
    faces = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)
    index = np.arange(3)
    framed = FaceSet("made", faces, index, index, index, "key")
    encoder = ExpressionEncoder()
    straight = encoder.encode_grey(faces)
    assert (encode(encoder, framed)["expression"] == straight["expression"]).all()


@pytest.mark.parametrize("name", ["expression", "pyramid", "wav2vec2"])
def test_the_weights_of_packaged_encoders_are_counted(name: str) -> None:
    parameters, megabytes = size_of(build_encoder(name, EncoderSettings(device="cpu")))
    assert parameters > 2_000_000
    assert megabytes > 8
