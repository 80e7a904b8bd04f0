"""The training of the face network: losses, rate, a killed run, the written weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from experiments.pretraining.face import train_face as module
from experiments.pretraining.face.losses import POSE_UNIT, losses, targets_of
from experiments.pretraining.face.train_face import Student, TrainFace, in_own_units, train
from experiments.pretraining.face.views import Views
from features.encoders.visual.face.encoder import HEADS
from features.encoders.visual.face.net import FaceNet
from tests.experiments.pretraining.face.made import made_faces


def settings(folder: Path, **other: Any) -> TrainFace:
    return TrainFace(
        folder, out=folder / "out.safetensors", state=folder / "s.pt", batch=8, **other
    )


def test_the_rate_rises_stays_and_falls(tmp_path: Path) -> None:
    plan = settings(tmp_path, epochs=10, decay=4, lr=1.0)
    rates = [plan.rate(epoch) for epoch in (0.5, 1, 5, 6, 8, 10)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 0.5, 0])
    assert plan.key() == settings(tmp_path, epochs=12, decay=4, lr=1.0).key()
    assert plan.key() != settings(tmp_path, epochs=10, decay=4, lr=0.5).key()


def test_a_killed_training_ends_as_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "read_faces", lambda *_: made_faces(32))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    assert train(settings(whole, epochs=2, decay=1)) == 0
    save = module.TrainingState.save

    def die(self: module.TrainingState, epoch: int, **progress: float) -> None:
        save(self, epoch, **progress)
        raise KeyboardInterrupt

    monkeypatch.setattr(module.TrainingState, "save", die)
    with pytest.raises(KeyboardInterrupt):
        train(settings(broken, epochs=2, decay=1))
    monkeypatch.setattr(module.TrainingState, "save", save)
    assert train(settings(broken, epochs=2, decay=1)) == 0
    ours, theirs = (load_file(folder / "out.safetensors") for folder in (whole, broken))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_faces_without_a_label_add_nothing_to_its_loss() -> None:
    faces = made_faces(16)
    targets = targets_of(faces, balance=0.5)
    torch.manual_seed(0)
    heads, hint = Student()(torch.randn(16, 1, 48, 48))
    still = Views(torch.zeros(16, 1, 48, 48), torch.zeros(16, dtype=torch.bool), torch.zeros(16))
    found = losses(heads, hint, targets, torch.arange(16), still)
    assert all(torch.isfinite(loss) for loss in found.values())
    assert found.keys() == {
        *("label", "votes", "teacher", "hint", "blendshapes", "smile", "pose"),
    }
    bare = np.flatnonzero(faces.label < 0)
    alone = Views(still.faces[bare], still.mirrored[bare], still.turn[bare])
    some = {name: head[bare] for name, head in heads.items()}
    assert losses(some, hint[bare], targets, torch.from_numpy(bare), alone)["label"] == 0


def test_written_heads_speak_in_the_units_of_the_labels() -> None:
    torch.manual_seed(0)
    net, faces = FaceNet().eval(), torch.randn(2, 1, 48, 48)
    targets = targets_of(made_faces(40), balance=0.5)
    raw = net(faces)[1]
    weights = in_own_units(net, targets)
    net.load_state_dict({n: w.float() if w.is_floating_point() else w for n, w in weights.items()})
    own = net(faces)[1]
    shapes = raw["blendshapes"] * targets.shape_std + targets.shape_mean
    torch.testing.assert_close(own["blendshapes"], shapes, atol=5e-3, rtol=1e-2)
    torch.testing.assert_close(own["pose"], raw["pose"] * POSE_UNIT, atol=5e-2, rtol=1e-2)
    torch.testing.assert_close(own["fer"], raw["fer"], atol=5e-3, rtol=1e-2)
    assert sum(HEADS.values()) == 71
