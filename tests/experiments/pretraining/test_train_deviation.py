"""Training of the deviation encoder: its data, its splits, and that a killed run goes on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from experiments.pretraining.loop import Loop
from experiments.pretraining.train_deviation import TrainDeviation, jitter, train
from experiments.pretraining.triplet_data import from_csv, from_pictures, is_held_out, load_faces
from features.encoders.visual.deviation import DeviationEncoder, DeviationSettings
from features.encoders.visual.preprocessing import FaceInput
from features.errors import UserError

GREY = FaceInput((48, 48), mean=(127.5,), std=(127.5,), scale=1.0)


def easy_pictures(count: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Grey pictures of two classes: stripes across or down, in noise."""
    chance = np.random.default_rng(0)
    labels = np.arange(count) % 2
    images = chance.integers(0, 60, (count, 48, 48))
    stripes = (np.arange(48) // 4 % 2 * 150)[None]
    for image, label in zip(images, labels, strict=True):
        image += stripes if label else stripes.T
    return images.astype(np.uint8), labels


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    images, labels = easy_pictures()
    path = tmp_path / "easy.npz"
    np.savez(path, images=images, labels=labels)
    return path


def small_run(npz: Path, out: Path, epochs: int = 1) -> TrainDeviation:
    return TrainDeviation(
        out, npz, epochs=epochs, count=8, batch=4, share=0.3, lr=1e-3, device="cpu"
    )


def test_a_run_writes_weights_that_the_encoder_takes(
    npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new/deviation.safetensors"
    assert train(small_run(npz, out)) == 0
    said = capsys.readouterr().out
    assert "epoch 1/1 loss" in said
    assert "held-out accuracy as written" in said
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    encoder = DeviationEncoder(DeviationSettings(weights=str(out)))
    assert "easy.npz" in encoder.trained_on
    metric = encoder.encode_faces(np.zeros((1, 112, 112, 3), np.uint8))["deviation.metric"]
    assert np.linalg.norm(metric) == pytest.approx(1, abs=1e-5)


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    train(small_run(npz, whole, epochs=2))
    epoch = Loop.epoch

    def die_in_the_second(self: Loop, number: int, *args: Any) -> dict[str, float]:
        if number == 1:
            raise KeyboardInterrupt
        return epoch(self, number, *args)

    monkeypatch.setattr(Loop, "epoch", die_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        train(small_run(npz, killed, epochs=2))
    assert not killed.exists()
    other = small_run(npz, killed, epochs=2)
    other.lr = 0.5
    with pytest.raises(UserError, match="other settings; delete it"):
        train(other)
    monkeypatch.setattr(Loop, "epoch", epoch)
    capsys.readouterr()
    train(small_run(npz, killed, epochs=2))
    assert "going on after epoch 1" in capsys.readouterr().out
    ours, theirs = load_file(killed), load_file(whole)
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())


def sides(path: Path) -> tuple[set[int], set[int]]:
    """Pictures of both sides."""
    data = from_pictures(path, share=0.4)
    training, _ = data.draw(torch.Generator().manual_seed(0), 400)
    return set(training.flatten().tolist()), set(data.held_out.flatten().tolist())


def test_copies_of_a_picture_lie_on_one_side(tmp_path: Path) -> None:
    images, labels = easy_pictures(24)
    np.savez(tmp_path / "twice.npz", images=np.tile(images, (2, 1, 1)), labels=np.tile(labels, 2))
    training, held_out = sides(tmp_path / "twice.npz")
    assert not {n % 24 for n in training} & {n % 24 for n in held_out}


def test_a_subject_lies_on_one_side(tmp_path: Path) -> None:
    images, labels = easy_pictures()
    np.savez(tmp_path / "s.npz", images=images, labels=labels, subjects=np.arange(48) // 4)
    training, held_out = sides(tmp_path / "s.npz")
    assert not {n // 4 for n in training} & {n // 4 for n in held_out}


def test_a_side_without_triplets_is_named(npz: Path) -> None:
    with pytest.raises(UserError, match=r"easy\.npz: held-out side: .* another share"):
        from_pictures(npz, share=0.0)


def test_a_share_of_groups_is_held_out_the_same_way_each_time() -> None:
    aside = [is_held_out(f"subject {n}", 0.2) for n in range(1000)]
    assert 150 < sum(aside) < 250
    assert aside == [is_held_out(f"subject {n}", 0.2) for n in range(1000)]
    assert all(is_held_out(f"subject {n}", 0.4) for n in range(1000) if aside[n])


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def test_class_named_folders_are_read_with_subjects_from_the_names(tmp_path: Path) -> None:
    images, labels = easy_pictures(24)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / ("joy", "anger")[label]
        write(folder / f"S{number // 4:03}_{number}.png", image)
    data = from_pictures(tmp_path, share=0.5, subject=r"^(S\d+)_")
    assert len(data.faces) == 24
    names = [place.path.name[:4] for place in data.faces]
    held = {names[i] for i in data.held_out.flatten().tolist()}
    drawn = data.draw(torch.Generator().manual_seed(0), 300)[0]
    assert not held & {names[i] for i in drawn.flatten().tolist()}
    picture = np.asarray(Image.open(data.faces[0].path))
    loaded = load_faces(data.faces, torch.tensor([0]), GREY)
    np.testing.assert_allclose(loaded[0, 0].numpy(), picture / 127.5 - 1, atol=1e-5)
    with pytest.raises(UserError, match="finds no subject"):
        from_pictures(tmp_path, share=0.5, subject=r"^X")


def fec_row(names: tuple[str, str, str], kind: str, votes: list[int]) -> str:
    images = ",".join(f"{name},0.5,1.0,0.0,0.5" for name in names)
    return f"{images},{kind}," + ",".join(f"who{n},{vote}" for n, vote in enumerate(votes))


@pytest.fixture
def fec(tmp_path: Path) -> Path:
    for number in range(6):
        image = np.zeros((40, 80, 3), np.uint8)
        image[:20, 40:] = 40 * number
        write(tmp_path / f"{number}.png", image)
    return tmp_path


def test_a_csv_gives_the_odd_one_by_majority_and_the_margin_by_type(
    fec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "experiments.pretraining.triplet_data.is_held_out", lambda group, share: group[-5] in "345"
    )
    rows = [
        fec_row(("0.png", "1.png", "2.png"), "ONE_CLASS_TRIPLET", [1, 1, 2]),
        fec_row(("0.png", "https://host/x/1.png", "2.png"), "TWO_CLASS_TRIPLET", [3, 3, 3]),
        fec_row(("0.png", "1.png", "2.png"), "THREE_CLASS_TRIPLET", [1, 2, 3]),
        fec_row(("0.png", "1.png", "absent.png"), "ONE_CLASS_TRIPLET", [1, 1, 1]),
        fec_row(("0.png", "1.png", "4.png"), "ONE_CLASS_TRIPLET", [1, 1, 1]),
        fec_row(("3.png", "4.png", "5.png"), "ONE_CLASS_TRIPLET", [2, 2, 2]),
    ]
    path = fec / "fec.csv"
    path.write_text("\n".join(rows) + "\n")
    data = from_csv(path, fec, 0.5)
    names = [place.path.stem for place in data.faces]
    drawn, margins = data.draw(torch.Generator().manual_seed(0), 100)
    found = {
        ("".join(names[i] for i in row), round(margin, 1))
        for row, margin in zip(drawn.tolist(), margins.tolist(), strict=True)
    }
    assert found == {("120", 0.1), ("012", 0.2)}
    assert [[names[i] for i in row] for row in data.held_out.tolist()] == [["3", "5", "4"]]
    face = load_faces(data.faces, torch.tensor([names.index("2")]), GREY)
    np.testing.assert_allclose(face.numpy(), 80 / 127.5 - 1, atol=1e-5)  # the box and no more


@pytest.mark.parametrize("row", ["a,b,c", "url,0,1,0,x" * 3, fec_row(("a", "b", "c"), "X", [1])])
def test_a_row_that_is_not_fecs_is_named(tmp_path: Path, row: str) -> None:
    path = tmp_path / "fec.csv"
    path.write_text(row + "\n")
    with pytest.raises(UserError, match=r"fec\.csv:1: not a row"):
        from_csv(path, tmp_path, 0.1)


def test_jitter_flips_about_half_and_keeps_the_size() -> None:
    faces = torch.zeros(200, 1, 20, 20)
    faces[..., :10] = 1
    out = jitter(faces, torch.Generator().manual_seed(0))
    assert out.shape == faces.shape
    assert 70 < int((out[:, 0, 10, 2] < 0.5).sum()) < 130


def test_what_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --pictures"):
        train(TrainDeviation(tmp_path / "out"))
    with pytest.raises(UserError, match="no class-named folders"):
        from_pictures(tmp_path, 0.1)
    with pytest.raises(UserError, match="no such file"):
        from_pictures(tmp_path / "absent.npz", 0.1)
