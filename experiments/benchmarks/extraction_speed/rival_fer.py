"""The PyPI package `fer` over videos, timed. For an interpreter that has it and nothing of ours.

    FER_PYTHON experiments/benchmarks/extraction_speed/rival_fer.py VIDEO ...

Data flow: videos > fer's video analysis with MTCNN, a frame at a time > `{"seconds", "frames"}`.

The pictures, the video and the archive that it would write beside the result are switched off. A
first picture is analysed before the clock starts, as for the others.
"""

import importlib
import json
import os
import sys
import tempfile
import time
from typing import Any


def main(paths: list[str]) -> None:
    """Prints what all videos took."""
    for name in ("facenet_pytorch", "cv2"):  # before TensorFlow, beside whose LLVM torch fails
        importlib.import_module(name)
    cv2 = sys.modules["cv2"]
    detector = importlib.import_module("fer.fer").FER(mtcnn=True)
    detector.detect_emotions(cv2.VideoCapture(paths[0]).read()[1])
    seconds, frames = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:  # fer writes into the folder it runs in
        paths = [os.path.abspath(path) for path in paths]  # noqa: PTH100
        os.chdir(folder)
        for path in paths:
            began = time.perf_counter()
            analyse(path, detector)
            seconds += time.perf_counter() - began
            frames += int(cv2.VideoCapture(path).get(cv2.CAP_PROP_FRAME_COUNT))
    print(json.dumps({"seconds": seconds, "frames": frames}))


def analyse(path: str, detector: Any) -> None:
    """What fer's README shows, without the files beside the result."""
    video = importlib.import_module("fer.classes").Video(path)
    video.analyze(detector, display=False, save_frames=False, save_video=False, zip_images=False)


if __name__ == "__main__":
    main(sys.argv[1:])
