"""The pyramid encoder: its levels, its backbones, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import get_model

from features.encoders.base import READY, VisualEncoder
from features.encoders.visual.expression import WEIGHTS, ExpressionEncoder, grey_faces
from features.encoders.visual.expression_net import load_expression_net
from features.encoders.visual.pyramid import (
    PyramidEncoder,
    PyramidSettings,
    fill,
    pooled_stages,
    stage_names,
)
from features.errors import UserError


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, 112, 112, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def packaged() -> PyramidEncoder:
    return PyramidEncoder()


@pytest.fixture(scope="module")
def shufflenet(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    net = get_model("shufflenet_v2_x0_5", weights=None).eval()
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save(net.state_dict(), path)
    return net, path


def test_levels_of_the_packaged_net_are_streams_from_fine_to_coarse(
    packaged: PyramidEncoder,
) -> None:
    faces = crops(2)
    out = packaged.encode_faces(faces)
    assert isinstance(packaged, VisualEncoder)
    assert packaged.streams == {"pyramid.1": 48, "pyramid.2": 96, "pyramid.3": 192}
    assert {name: v.shape for name, v in out.items()} == {
        "pyramid.1": (2, 48),
        "pyramid.2": (2, 96),
        "pyramid.3": (2, 192),
    }
    levels = load_expression_net(WEIGHTS).levels(grey_faces(faces))
    for value, level in zip(out.values(), levels, strict=True):
        np.testing.assert_allclose(value, level.detach().numpy(), atol=1e-5)


def test_the_coarsest_level_is_what_the_expression_embedding_is_made_of(
    packaged: PyramidEncoder,
) -> None:
    coarse = torch.from_numpy(packaged.encode_faces(crops(2))["pyramid.3"])
    net = load_expression_net(WEIGHTS)
    embedding, _ = net(grey_faces(crops(2)))
    np.testing.assert_allclose(
        net.embed(coarse).detach().numpy(), embedding.detach().numpy(), atol=1e-4
    )


def test_a_crop_is_encoded_the_same_alone_and_among_many(packaged: PyramidEncoder) -> None:
    faces = crops(40)
    together, alone = packaged.encode_faces(faces), packaged.encode_faces(faces[37:38])
    for name in packaged.streams:
        np.testing.assert_allclose(together[name][37:38], alone[name], atol=1e-4)


def test_no_crops_give_empty_levels(packaged: PyramidEncoder) -> None:
    out = packaged.encode_faces(crops(0))
    assert [v.shape for v in out.values()] == [(0, 48), (0, 96), (0, 192)]
    assert all(v.dtype == np.float32 for v in out.values())


def test_a_margin_is_cut_off_by_the_packaged_net() -> None:
    face = np.repeat(np.arange(0, 224, 2, dtype=np.uint8)[None, :, None], 112, axis=0)
    close = np.repeat(face, 3, axis=2)[None]
    loose = np.zeros((1, 224, 224, 3), np.uint8)
    loose[:, 56:168, 56:168] = close
    ours = PyramidEncoder(margin=1.0).encode_faces(loose)
    for name, value in PyramidEncoder().encode_faces(close).items():
        np.testing.assert_allclose(ours[name], value, atol=0.05)


def test_a_torchvision_backbone_gives_the_maps_that_end_its_stages(
    shufflenet: tuple[nn.Module, Path],
) -> None:
    net, path = shufflenet
    settings = PyramidSettings("shufflenet_v2_x0_5", str(path), stream="levels")
    assert PyramidEncoder.status(settings) == READY
    encoder = PyramidEncoder(settings)
    assert encoder.input == "face 224x224 RGB"
    assert encoder.streams == {"levels.1": 24, "levels.2": 48, "levels.3": 96, "levels.4": 1024}
    faces = crops(2)
    x = encoder._batch(faces)
    with torch.inference_mode():
        parts = dict(net.named_children())
        stage2 = parts["stage2"](parts["maxpool"](parts["conv1"](x)))
    np.testing.assert_allclose(
        encoder.encode_faces(faces)["levels.2"], stage2.mean((2, 3)).numpy(), atol=1e-5
    )


@pytest.mark.parametrize(
    ("backbone", "stages"),
    [
        ("resnet18", ["layer1", "layer2", "layer3", "layer4"]),
        ("mobilenet_v3_small", ["features.1", "features.3", "features.8", "features.12"]),
    ],
)
def test_stages_are_found_between_stem_and_head(backbone: str, stages: list[str]) -> None:
    assert stage_names(get_model(backbone, weights=None).eval()) == stages


def test_maps_with_channels_last_are_averaged_over_positions() -> None:
    maps = [torch.rand(2, side, side, 5) for side in (56, 28, 14)]
    for pooled, level in zip(pooled_stages(maps, "any"), maps, strict=True):
        torch.testing.assert_close(pooled, level.mean((1, 2)))


def test_maps_of_the_stem_do_not_count_as_levels() -> None:
    maps = [torch.rand(1, 4, side, side) for side in (112, 56, 28)]
    with pytest.raises(UserError, match="no 3 levels"):
        pooled_stages(maps, "any")


def test_a_backbone_without_levels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"never read")
    for backbone, message in (("alexnot", "no torchvision model"), ("swin_t", "no 3 levels")):
        with pytest.raises(UserError, match=message):
            PyramidEncoder(PyramidSettings(backbone, str(tmp_path / "w.pth")))


def test_a_backbone_without_weights_says_which_option_gives_them() -> None:
    for settings in (PyramidSettings("resnet50"), PyramidSettings("resnet50", "absent.pth")):
        status = PyramidEncoder.status(settings)
        assert status.word == "needs weights"
        assert "--pyramid.weights" in status.remedy
        with pytest.raises(UserError, match=r"--pyramid\.weights"):
            PyramidEncoder(settings)


def test_timm_is_asked_for_when_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    settings = PyramidSettings("timm/resnet10t", "w.pth")
    assert PyramidEncoder.status(settings).word == "needs extra"
    with pytest.raises(UserError, match=r"pip install 'affuse\[timm\]'"):
        PyramidEncoder(settings)


def test_weights_may_hold_more_than_the_levels_need_but_not_less(tmp_path: Path) -> None:
    part, path = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)), tmp_path / "w.pth"
    weights = {n: w + 1 for n, w in part.state_dict().items() if not n.endswith("tracked")}
    torch.save(weights | {"fc.weight": torch.ones(3)}, path)
    fill(part, path)
    torch.testing.assert_close(part[0].weight.data, weights["0.weight"])
    torch.save({n: w for n, w in weights.items() if n != "0.bias"}, path)
    with pytest.raises(UserError, match=r"lacks weight '0\.bias'"):
        fill(part, path)
    torch.save(weights | {"0.weight": torch.ones(2, 3, 3, 3)}, path)
    with pytest.raises(UserError, match=r"'0\.weight' is \(2, 3, 3, 3\), not \(2, 3, 1, 1\)"):
        fill(part, path)


def test_the_packaged_pyramid_shares_licence_and_input_with_expression(
    packaged: PyramidEncoder,
) -> None:
    assert packaged.input == ExpressionEncoder.input
    assert packaged.licence == ExpressionEncoder.licence
    assert packaged.revision == ExpressionEncoder().revision
