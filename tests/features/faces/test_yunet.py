"""YuNet in MTCNN's place, by a graph that always sees the same faces, read by OpenCV itself."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, extract
from features.faces.detect import FaceDetector, FaceSettings, overlap
from features.faces.yunet import YunetDetector, face_detector
from features.store.track_store import TrackStore
from tests.media import face_frame, plain_frames, write_video

onnx = pytest.importorskip("onnx")

SIDE, STRIDES = 64, (8, 16, 32)
POINTS = np.array([(0.25, 0.35), (0.75, 0.36), (0.5, 0.6), (0.3, 0.8), (0.7, 0.81)])
"""Eyes, nose, corners of the mouth as YuNet orders them, as shares of a box."""
Seen = Sequence[tuple[float, float, float, float, float]]
"""Boxes x0 y0 x1 y1 in pixels of the small picture, and their probabilities."""


def columns(kind: str, box: Sequence[float], stride: int, cell: tuple[int, int]) -> list[float]:
    """What the network would say of a face at one of its cells."""
    x0, y0, x1, y1, score = box
    if kind in ("cls", "obj"):
        return [score]
    origin = np.array(cell)
    if kind == "bbox":
        centre = np.array([x0 + x1, y0 + y1]) / 2 / stride - origin
        return [*centre, math.log((x1 - x0) / stride), math.log((y1 - y0) / stride)]
    points = (x0, y0) + POINTS * (x1 - x0, y1 - y0)
    return (points / stride - origin).ravel().tolist()


def write_net(path: Path, seen: Seen) -> Path:
    """A graph with YuNet's outputs for pictures of 64 x 64, each face at its own coarse cell."""
    from onnx import TensorProto, helper, numpy_helper

    sums = [("GlobalAveragePool", ["input"], "mean"), ("Conv", ["mean", "none"], "nothing")]
    nodes = [helper.make_node(op, given, [made]) for op, given, made in sums]
    nodes.append(helper.make_node("Reshape", ["nothing", "shape"], ["zero"]))
    held = {"none": np.zeros((1, 3, 1, 1), np.float32), "shape": np.ones(3, np.int64)}
    outputs = []
    for kind, dim in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in STRIDES:
            across = SIDE // stride
            values = np.zeros((1, across**2, dim), np.float32)
            for number, box in enumerate(seen if stride == STRIDES[-1] else ()):
                cell = number % across, number // across
                values[0, number] = columns(kind, box, stride, cell)
            name = f"{kind}_{stride}"
            held[f"{name}_held"] = values
            nodes.append(helper.make_node("Add", ["zero", f"{name}_held"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape))
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, SIDE, SIDE))
    tensors = [numpy_helper.from_array(value, name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "net", [picture], outputs, tensors)
    opsets = [helper.make_opsetid("", 11)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=7), path)
    return path


def pictures(count: int, width: int, height: int) -> np.ndarray:
    return np.stack(plain_frames(count, height, width))


def with_net(path: Path, seen: Seen, **more: float) -> FaceSettings:
    write_net(path, seen)
    own = FaceSettings(detector="yunet", weights=str(path), detect_side=SIDE, min_face=12)
    return replace(own, **more)  # type: ignore[arg-type]


def test_faces_are_in_pixels_of_the_picture_by_our_convention(tmp_path: Path) -> None:
    seen = [(4, 8, 28, 40, 0.95), (36, 8, 60, 40, 0.99)]
    detector = face_detector(with_net(tmp_path / "net.onnx", seen))
    assert isinstance(detector, YunetDetector)
    both = detector.detect(pictures(2, 256, 256))
    assert len(both) == 2
    for faces in both:  # the likelier one first; MTCNN knows neither
        np.testing.assert_allclose(
            faces.boxes, [[144, 32, 240, 160], [16, 32, 112, 160]], atol=0.01
        )
        np.testing.assert_allclose(faces.scores, [0.99, 0.95], atol=1e-5)
        places = faces.boxes[:, None, :2] + POINTS * (96, 128)
        np.testing.assert_allclose(faces.landmarks, places, atol=0.01)
        assert (faces.landmarks[:, 0, 0] < faces.landmarks[:, 1, 0]).all()


@pytest.mark.parametrize("limits", [{"threshold": 0.97}, {"min_face": 24}])
def test_small_and_improbable_faces_are_left_out(tmp_path: Path, limits: dict[str, float]) -> None:
    seen = [(4, 8, 20, 24, 0.95), (36, 8, 60, 40, 0.99)]
    (faces,) = face_detector(with_net(tmp_path / "net.onnx", seen, **limits)).detect(
        pictures(1, 128, 128)
    )
    assert len(faces) == 1
    assert faces.boxes[0, 0] == pytest.approx(72)


def test_a_picture_without_faces_gives_none(tmp_path: Path) -> None:
    detector = face_detector(with_net(tmp_path / "net.onnx", []))
    assert [len(faces) for faces in detector.detect(pictures(2, 128, 96))] == [0, 0]
    assert [len(faces) for faces in detector.detect(pictures(1, 8, 8))] == [0]


def test_a_face_that_the_late_stages_know_is_placed_by_them(tmp_path: Path) -> None:
    image = face_frame(256, 256, [(128, 128)], size=200)
    (mtcnn,) = FaceDetector(FaceSettings()).detect(image[None])
    box = mtcnn.boxes[0] / 4 + (1, 2, 1, -1)  # as another network would draw it
    known, unknown = (*box.tolist(), 0.93), (2.0, 2.0, 15.0, 15.0, 0.99)
    detector = face_detector(with_net(tmp_path / "net.onnx", [known, unknown]))
    (faces,) = detector.detect(image[None])
    there = overlap(faces.boxes, mtcnn.boxes)
    assert there.max() > 0.9
    face = int(there.argmax())
    off = np.linalg.norm(faces.landmarks[face] - mtcnn.landmarks[0], axis=-1)
    assert off.max() < 0.03 * (mtcnn.boxes[0, 2] - mtcnn.boxes[0, 0])
    np.testing.assert_allclose(faces.boxes[1 - face], [8, 8, 60, 60], atol=0.01)
    assert (np.diff(faces.scores) <= 0).all()


def test_file_and_name_are_in_the_key_and_a_place_is_not(tmp_path: Path) -> None:
    one = with_net(tmp_path / "one.onnx", [])
    same = with_net(tmp_path / "same.onnx", [])
    other = with_net(tmp_path / "other.onnx", [(4, 8, 28, 40, 0.95)])
    assert one.key() == same.key()
    assert replace(one, detector="mtcnn", weights="").key() != one.key()
    revisions = [face_detector(settings).revision for settings in (one, same, other)]
    assert revisions[0] == revisions[1]
    assert len({*revisions, FaceDetector(FaceSettings()).revision}) == 3
    # Tracks of before there was a choice are still good.
    assert not {"detector", "weights"} & set(FaceSettings().key())


def test_tracks_of_one_detector_are_not_served_for_another(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips/a.mp4", plain_frames(4, 128, 128))
    where = SourceSettings(root=tmp_path / "clips", store=tmp_path / "tracks")
    made = {}
    seen = [(4, 8, 60, 60, 0.95)]
    searches = {
        "yunet": with_net(tmp_path / "net.onnx", seen),
        "other": with_net(tmp_path / "net2.onnx", []),
        "mtcnn": FaceSettings(),
    }
    for name, faces in searches.items():
        summary = extract(
            ExtractSettings(
                data=where, encoders=["expression"], faces=faces, device="cpu", workers="0"
            )
        )
        assert (summary.complete, summary.ready) == (True, 0)
        store = TrackStore(tmp_path / "tracks")
        made[name] = {stream: store.info(stream, "a") for stream in ("faces", "expression")}
    assert made["yunet"]["faces"].encoder == "yunet"
    assert made["mtcnn"]["faces"].encoder == "mtcnn"
    for stream in ("faces", "expression"):
        assert len({str(found[stream].key) for found in made.values()}) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detector": "yolo"}, "--faces.detector yolo must be mtcnn or yunet"),
        ({"weights": "net.onnx"}, "--faces.weights is YuNet's file; add --faces.detector yunet"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        FaceSettings(**settings).check()  # type: ignore[arg-type]
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("weights", "lack"), [("", ""), ("gone.onnx", "no such file: gone.onnx; ")]
)
def test_absent_weights_are_said_at_once(weights: str, lack: str) -> None:
    with pytest.raises(UserError) as error:
        face_detector(FaceSettings(detector="yunet", weights=weights))
    remedy = "give YuNet's face_detection_yunet_*.onnx by --faces.weights FILE"
    assert str(error.value) == f"--faces.detector yunet: {lack}{remedy}"


@pytest.mark.parametrize("kind", ["damaged", "another"])
def test_a_file_of_another_kind_is_named(tmp_path: Path, kind: str) -> None:
    from onnx import TensorProto, helper

    path = tmp_path / "other.onnx"
    path.write_text("no graph")
    if kind == "another":
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, SIDE, SIDE))
            for name in ("input", "output")
        ]
        graph = helper.make_graph(
            [helper.make_node("Relu", ["input"], ["output"])], "g", ends[:1], ends[1:]
        )
        opsets = [helper.make_opsetid("", 11)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=7), path)
    detector = face_detector(FaceSettings(detector="yunet", weights=str(path)))
    with pytest.raises(UserError) as error:
        detector.detect(pictures(1, 64, 64))
    assert str(error.value).startswith(f"{path}: does not run as YuNet (")
    assert str(error.value).endswith("by --faces.weights FILE")
