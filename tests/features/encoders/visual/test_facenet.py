"""The encoder `facenet`: facenet-pytorch's own layout of weights, and what it sees."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from torch import nn

from features.encoders.base import VisualEncoder
from features.encoders.visual.facenet import FILE, FacenetEncoder, FacenetSettings
from features.errors import UserError


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the real file: with a classifier over identities (8631 there)."""
    torch.manual_seed(0)
    net = InceptionResnetV1()
    net.logits = nn.Linear(512, 5)
    path = tmp_path_factory.mktemp("torch") / "hub" / "checkpoints" / FILE
    path.parent.mkdir(parents=True)
    torch.save(net.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def encoder(weights: Path) -> FacenetEncoder:
    return FacenetEncoder(FacenetSettings(weights=str(weights)))


def crops(count: int, side: int = 112) -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, (count, side, side, 3))
    return noise.astype(np.uint8)


def test_agrees_with_facenet_pytorch(weights: Path, encoder: FacenetEncoder) -> None:
    net = InceptionResnetV1().eval()
    state = torch.load(weights, weights_only=True)
    net.load_state_dict({n: w for n, w in state.items() if not n.startswith("logits.")})
    faces = crops(2)
    seen = np.stack([cv2.resize(f, (160, 160), interpolation=cv2.INTER_LINEAR) for f in faces])
    with torch.no_grad():
        x = torch.from_numpy(((seen.astype(np.float32) - 127.5) / 128).transpose(0, 3, 1, 2))
        expected = net(x).numpy()
    values = encoder.encode_faces(faces)["facenet"]
    np.testing.assert_allclose(values, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-5)


def test_no_faces_give_no_rows_and_a_face_is_the_same_alone(encoder: FacenetEncoder) -> None:
    assert isinstance(encoder, VisualEncoder)
    assert encoder.encode_faces(crops(0))["facenet"].shape == (0, 512)
    together = encoder.encode_faces(crops(3))["facenet"]
    alone = encoder.encode_faces(crops(3)[1:2])["facenet"]
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.parametrize("folder", ["hub/checkpoints", "checkpoints"])
def test_the_file_is_found_where_facenet_pytorch_or_torch_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    status = FacenetEncoder.status(FacenetSettings())
    assert (status.word, "--facenet.weights FILE" in status.remedy) == ("needs weights", True)
    with pytest.raises(UserError, match=FILE):
        FacenetEncoder()
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / FILE).touch()
    assert FacenetEncoder.status(FacenetSettings()).word == "ready"


def test_describes_itself(encoder: FacenetEncoder) -> None:
    assert (encoder.input, encoder.streams) == ("face 160x160 RGB", {"facenet": 512})
    assert encoder.trained_on == "VGGFace2"
    assert len(encoder.revision) == 16


def complaint(path: Path) -> str:
    with pytest.raises(UserError) as error:
        FacenetEncoder(FacenetSettings(weights=str(path)))
    assert "\n" not in str(error.value)
    assert "--facenet.weights FILE" in str(error.value)
    return str(error.value)


def test_wrong_files_are_refused(weights: Path, tmp_path: Path) -> None:
    assert "no such file" in complaint(tmp_path / "gone.pt")
    cut = tmp_path / "cut.pt"
    cut.write_bytes(weights.read_bytes()[:100_000])
    assert "cannot read" in complaint(cut)
    state = torch.load(weights, weights_only=True)
    foreign = tmp_path / "foreign.pt"
    torch.save({n: w for n, w in state.items() if n != "last_bn.weight"}, foreign)
    assert "lacks weight 'last_bn.weight'" in complaint(foreign)
