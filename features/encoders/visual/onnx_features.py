"""An ONNX classifier that also gives what its last layer reads.

Data flow: ONNX file > graph > its last linear layer is found > that layer's input becomes an
output, in memory > onnxruntime session.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import UserError


@dataclass(frozen=True)
class OnnxFeatures:
    """A session with two outputs.

    Attributes:
        session: Of onnxruntime.
        size: Height and width of the pictures; None if the graph leaves them open.
        batch: Number of pictures in a batch; None if the graph leaves it open.
    """

    session: Any
    size: tuple[int, int] | None
    batch: int | None

    def run(self, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pictures (N, 3, h, w) into features (N, D) and scores (N, K), float32."""
        scores, features = self.session.run(None, {self.session.get_inputs()[0].name: faces})
        return features.reshape(len(faces), -1), scores


def open_with_features(path: Path, device: str, remedy: str) -> OnnxFeatures:
    """Opens an ONNX file; needs onnx and onnxruntime.

    Args:
        path: The file.
        device: `cpu` or `cuda`.
        remedy: What the user can do about a wrong file.

    Raises:
        UserError: If the file cannot be read, does not take pictures, holds a value that is not
            finite, or does not end in a linear layer.
    """
    model = _read(path, remedy)
    _check(model, path, remedy)
    layer = _last_linear(model.graph)
    if layer is None:
        raise UserError(f"{path}: does not end in a linear layer; {remedy}")
    del model.graph.output[1:]
    model.graph.output.add().name = layer.input[0]
    dims = [d.dim_value or None for d in model.graph.input[0].type.tensor_type.shape.dim]
    size = (dims[2], dims[3]) if dims[2] and dims[3] else None
    return OnnxFeatures(_session(model, path, device, remedy), size, dims[0])


def _read(path: Path, remedy: str) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError) as error:
        cause = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: cannot read the ONNX model ({cause}); {remedy}") from error
    return model


def _check(model: Any, path: Path, remedy: str) -> None:
    """Raises UserError for weights that are not finite, or another input than colour pictures."""
    from onnx import numpy_helper

    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(f"{path}: weight '{weight.name}' is not finite; {remedy}")
    # Old files list their weights among the inputs, after the pictures.
    shape = model.graph.input[0].type.tensor_type.shape.dim if model.graph.input else []
    if len(shape) != 4 or shape[1].dim_value != 3:
        raise UserError(f"{path}: does not take RGB pictures (N, 3, h, w); {remedy}")


def _last_linear(graph: Any) -> Any | None:
    """The Gemm, or MatMul and Add, that gives the first output; its first input is the features."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get(graph.output[0].name) if graph.output else None
    if node is not None and node.op_type == "Add":
        node = next((makers[name] for name in node.input if name in makers), None)
    return node if node is not None and node.op_type in ("Gemm", "MatMul") else None


def _session(model: Any, path: Path, device: str, remedy: str) -> Any:
    import onnxruntime
    import torch
    from onnxruntime.capi import onnxruntime_pybind11_state as faults

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    wanted = ["CUDAExecutionProvider"] if device == "cuda" else []
    usable = [p for p in wanted if p in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=[*usable, "CPUExecutionProvider"]
        )
    except (faults.Fail, faults.InvalidGraph, faults.InvalidArgument, faults.NotImplemented) as e:
        cause = " ".join(str(e).split())[:120]
        raise UserError(f"{path}: cannot run the ONNX model ({cause}); {remedy}") from e
