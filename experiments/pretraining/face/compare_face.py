"""Compares the packaged `face` encoder with its targets and anchors; writes results/face.md.

Data flow: faces that it has not been trained on > `face` and `expression`, their streams or a
linear map of the embedding that was fitted on the same training faces > scores with standard
errors by person > one table.

    python -m experiments.pretraining.face.compare_face --data PATH
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from experiments.kept import Cache
from experiments.pretraining.face import expression_rows, reading_rows
from experiments.pretraining.face.data import LFW_TEST, read_faces
from experiments.pretraining.face.scoring import Row, Tested
from experiments.pretraining.face.train_face import RUN
from experiments.pretraining.face.units import read_coded
from experiments.pretraining.probe_data import read_actor, read_ck, require
from features.cli.app import OK, run
from features.encoders.visual.face.encoder import WEIGHTS, FaceEncoder

RESULTS = Path(__file__).parents[2] / "results/face.md"


@dataclass
class CompareFace:
    """Settings of the comparison.

    Args:
        data: Folder of the shared data.
        weights: Of the `face` encoder.
        out: File for the table.
        cache: Folder for what takes long to read.
    """

    data: Path
    weights: Path = WEIGHTS
    out: Path = RESULTS
    cache: Path = RUN / "cache"


def compare(settings: CompareFace) -> int:
    """Measures all rows and writes the table after each."""
    torch.set_num_threads(1)
    cache = Cache(settings.cache)
    tested = Tested(
        face=FaceEncoder(weights=settings.weights),
        faces=read_faces(settings.data, cache),
        ck=read_ck(settings.data)[0],
        coded=read_coded(settings.data),
        actor=read_actor(settings.data, cache),
        words=words_of_lfw(settings.data),
    )
    rows = []
    for row in rows_of(tested):
        rows.append(row)
        print(" | ".join(row.cells), flush=True)
    settings.out.write_text("\n".join(page(rows, tested.face.revision)) + "\n", encoding="utf-8")
    print(f"wrote {settings.out}")
    return OK


def words_of_lfw(data: Path) -> np.ndarray:
    """LFW's words for expressions (N,) of the people that were not trained on."""
    with np.load(require(data / "faces/lfw_expressions.npz")) as z:
        return np.asarray(z["abaw"][z["identity"] % LFW_TEST == 0])


def rows_of(tested: Tested) -> Iterator[Row]:
    """All rows, as they are measured."""
    yield expression_rows.speed(tested)
    yield from expression_rows.fer(tested)
    yield from expression_rows.unseen(tested)
    yield reading_rows.units(tested)
    yield from reading_rows.blendshapes(tested)
    yield from reading_rows.smiles(tested)
    yield from reading_rows.pose(tested)
    yield reading_rows.validity(tested)


def page(rows: list[Row], revision: str) -> Iterator[str]:
    """The page in Markdown, line by line."""
    yield "# `face` beside its targets and anchors"
    yield ""
    yield "Written by `python -m experiments.pretraining.face.compare_face --data DIR`; weights"
    yield f"`{revision}`. ± is a standard error, by person where people are known (CK+, LFW, Yale,"
    yield "ORL), by clip for actor 01, else by picture. Nothing was fitted on what is judged here;"
    yield "units are fitted and judged by subject."
    yield ""
    yield "| what | on | target | `face` | met | `expression` | other anchors |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        yield "| " + " | ".join(row.cells) + " |"
    yield ""
    yield NOTES


NOTES = """\
- `expression`: its own probabilities where they exist; else (marked "map") a linear or logistic map
  of its embedding, fitted on the very faces that `face` was trained on. That embedding is a mean
  with the mirror image's, so yaw, roll and what differs between left and right are not in it. It
  has no contempt: FER+'s 13 pictures of it count as wrong. Its speed is with the mirror image, as
  it is used.
- `face.expression` joins the heads for FER2013's labels and FER+'s votes under a flat prior, fitted
  on 1,400 held-out pictures of FER2013's training part: it loses where most faces are neutral or
  happy. `face.votes` has the raters' prior.
- FER+ majority: the first eight classes, at least five votes, no tie.
- CK+48: six classes, 927 pictures; no expression of CK+ was trained on. The units' fit has seen
  FACS codes of CK+, which touches the stream `face.units` alone.
- Units: AUC of 327 peak frames, by regressions that have not seen the subject (5 folds).
- Blendshapes: mean over the shapes whose deviation is at least .02 in the teacher's reading, r of
  each over faces. The teacher read FER2013's pictures at 48x48, where it is noisy itself.
- Smile and pose: GENKI-4K's last 30 % of each class. Pose: mean absolute error; "no model" is the
  mean of the training faces.
- Speed: `encode_faces` on 8 crops of 112x112, one thread, both in turn in one run, processor time.
- Other anchors are quoted: experiments/results/encoders.md (mini XCEPTION), the shared data's page
  (the teacher against human labels), published results (face-api, single networks).
"""


if __name__ == "__main__":
    run(
        CompareFace,
        compare,
        prog="experiments.pretraining.face.compare_face",
        description=__doc__.split("\n")[0],
    )
