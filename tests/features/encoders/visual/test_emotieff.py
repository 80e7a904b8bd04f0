"""The encoder `emotieff`, on small ONNX files with the layout of EmotiEffLib's."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from features.encoders.base import VisualEncoder
from features.encoders.visual.emotieff import EmotieffEncoder, EmotieffSettings
from features.encoders.visual.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from features.errors import UserError

SIX = 6
"""Length of the features of the stand-ins (1280 and 1408 in the real models)."""


def write_model(
    path: Path,
    scores: int = 8,
    size: int | str = 32,
    gemm: bool = True,
    batch: int | str = "batch_size",
    classifier: np.ndarray | None = None,
) -> Path:
    """Mean over positions > 6 features > scores; as torch exports it, or MatMul and Add."""
    chance = np.random.default_rng(0)
    project = chance.normal(size=(3, SIX)).astype(np.float32)
    if classifier is None:
        classifier = chance.normal(size=(scores, SIX)).astype(np.float32)
    bias = np.arange(scores, dtype=np.float32) / 10
    last = (
        [helper.make_node("Gemm", ["features", "W", "b"], ["output"], transB=1)]
        if gemm
        else [
            helper.make_node("MatMul", ["features", "Wt"], ["product"]),
            helper.make_node("Add", ["b", "product"], ["output"]),
        ]
    )
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "P"], ["features"]),
        *last,
    ]
    weights = {"P": project, "b": bias}
    weights |= {"W": classifier} if gemm else {"Wt": np.ascontiguousarray(classifier.T)}
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, scores])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def crops(count: int) -> np.ndarray:
    """Even colours, so that resizing changes nothing."""
    colours = np.random.default_rng(1).integers(0, 256, (count, 1, 1, 3))
    return np.broadcast_to(colours, (count, 40, 40, 3)).astype(np.uint8)


def built(path: Path | str) -> EmotieffEncoder:
    return EmotieffEncoder(EmotieffSettings(model=str(path)))


def by_hand(path: Path, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and probabilities, in the model's own order."""
    weights = {w.name: numpy_helper.to_array(w) for w in onnx.load(path).graph.initializer}
    x = (faces[:, 0, 0] / 255 - IMAGENET_MEAN) / IMAGENET_STD
    features = x @ weights["P"]
    classifier = weights["W"].T if "W" in weights else weights["Wt"]
    powers = np.exp(features @ classifier + weights["b"])
    return features, powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("gemm", [True, False])
def test_gives_what_the_last_layer_reads_and_says(tmp_path: Path, gemm: bool) -> None:
    path = write_model(tmp_path / "net.onnx", gemm=gemm)
    out = built(path).encode_faces(crops(40))
    features, probs = by_hand(path, crops(40))
    np.testing.assert_allclose(out["emotieff"], features, atol=1e-4)
    # Anger, Contempt, Disgust, Fear, Happiness, Neutral, Sadness, Surprise there.
    np.testing.assert_allclose(out["emotieff.probs"], probs[:, [5, 0, 2, 3, 4, 6, 7, 1]], atol=1e-5)


def test_seven_classes_come_in_abaws_order(tmp_path: Path) -> None:
    path = write_model(tmp_path / "enet_b2_7.onnx", scores=7)
    out = built(path).encode_faces(crops(2))
    # Anger, Disgust, Fear, Happiness, Neutral, Sadness, Surprise there.
    expected = by_hand(path, crops(2))[1][:, [4, 0, 1, 2, 3, 5, 6]]
    np.testing.assert_allclose(out["emotieff.probs"], expected, atol=1e-5)


def test_valence_and_arousal_are_no_classes(tmp_path: Path) -> None:
    encoder = built(write_model(tmp_path / "enet_b0_8_va_mtl.onnx", scores=10))
    assert encoder.streams == {"emotieff": SIX, "emotieff.probs": 8}
    probs = encoder.encode_faces(crops(3))["emotieff.probs"]
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("enet_b0_8_best_vgaf", "h", "face 224x224 RGB"),
        ("enet_b2_8", "h", "face 260x260 RGB"),
        ("enet_b2_8", 32, "face 32x32 RGB"),
    ],
)
def test_the_size_is_the_graphs_or_else_the_names(
    tmp_path: Path, name: str, size: int | str, words: str
) -> None:
    assert built(write_model(tmp_path / f"{name}.onnx", size=size)).input == words


def test_a_graph_for_one_picture_at_a_time_runs_too(tmp_path: Path) -> None:
    single = built(write_model(tmp_path / "single.onnx", batch=1)).encode_faces(crops(3))
    many = built(write_model(tmp_path / "many.onnx")).encode_faces(crops(3))
    np.testing.assert_allclose(single["emotieff"], many["emotieff"], atol=1e-6)


def test_no_faces_give_no_rows(tmp_path: Path) -> None:
    encoder = built(write_model(tmp_path / "net.onnx"))
    assert isinstance(encoder, VisualEncoder)
    shapes = {name: v.shape for name, v in encoder.encode_faces(crops(0)).items()}
    assert shapes == {"emotieff": (0, SIX), "emotieff.probs": (0, 8)}


def test_a_name_is_looked_for_in_emotiefflibs_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = EmotieffSettings(model="enet_b2_8")
    status = EmotieffEncoder.status(settings)
    assert (status.word, "--emotieff.model FILE" in status.remedy) == ("needs weights", True)
    (tmp_path / ".emotiefflib").mkdir()
    write_model(tmp_path / ".emotiefflib/enet_b2_8.onnx")
    assert EmotieffEncoder.status(settings).word == "ready"
    encoder = EmotieffEncoder(settings)
    assert encoder.licence == "Apache-2.0"
    assert "AffectNet" in encoder.trained_on


def complaint(path: Path) -> str:
    with pytest.raises(UserError) as error:
        built(path)
    assert "\n" not in str(error.value)
    assert "--emotieff.model FILE" in str(error.value)
    return str(error.value)


def test_pickled_models_are_refused_and_the_onnx_file_named(tmp_path: Path) -> None:
    path = tmp_path / "enet_b0_8_best_vgaf.pt"
    path.touch()
    assert "give enet_b0_8_best_vgaf.onnx" in complaint(path)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "net.onnx").read_bytes()
    cut, text = tmp_path / "cut.onnx", tmp_path / "text.onnx"
    cut.write_bytes(whole[:-30])
    text.write_text("no model")
    for path in (cut, text, tmp_path / "gone.onnx"):
        complaint(path)
    infinite = np.full((8, SIX), np.nan, np.float32)
    assert "'W' is not finite" in complaint(write_model(tmp_path / "n.onnx", classifier=infinite))
    assert "gives 5 numbers" in complaint(write_model(tmp_path / "five.onnx", scores=5))


def test_without_onnxruntime_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    settings = EmotieffSettings(model=str(tmp_path / "net.onnx"))
    assert EmotieffEncoder.status(settings).word == "needs extra"
    with pytest.raises(UserError, match=r"^emotieff needs onnxruntime: pip install 'affuse"):
        EmotieffEncoder(settings)
