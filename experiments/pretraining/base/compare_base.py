"""Judges the packaged model on what it has not seen, with each stream alone, and writes base.md.

Data flow: judged sets > the model with both streams, the face alone, the voice alone > mean
probability of each clip > accuracy, macro-F1, calibration, each with its standard error by person.

    python -m experiments.pretraining.base.compare_base --data DIR --corpus CORPUS
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from experiments.kept import Cache
from experiments.pretraining.base.judged import STREAM, Judged, read_judged
from experiments.pretraining.face.scoring import drawn_score, mean_score
from features.cli.app import OK, run
from features.store.track_store import TrackStore
from fusion.inference.checkpoint import Checkpoint, load_checkpoint
from fusion.inference.predictor import predict_clips
from fusion.pretrained import PACKAGED
from fusion.streams.clip_tracks import clips_of
from fusion.tasks.expr import EXPRESSIONS, Expression
from fusion.tasks.scoring.reliability import Reliability

RESULTS = Path(__file__).parents[2] / "results/base.md"
VOICE = "wav2vec2"
NAMES = {STREAM: "face alone", VOICE: "voice alone", "both": "both"}


@dataclass
class CompareBase:
    """Settings of the comparison.

    Args:
        data: Folder of the shared data.
        corpus: Folder that `experiments.pretraining.base.corpus` made.
        checkpoint: The model.
        out: File for the table.
        work: Folder for tracks and for what takes long to read.
    """

    data: Path
    corpus: Path
    checkpoint: Path = PACKAGED
    out: Path = RESULTS
    work: Path = Path("runs/base/judged")


def compare(settings: CompareBase) -> int:
    """Measures all rows and writes the table."""
    model, rows = load_checkpoint(settings.checkpoint, "cpu"), []
    cache = Cache(settings.work / "cache")
    for judged in read_judged(settings.data, settings.corpus, settings.work, cache):
        for row in rows_of(judged, model, settings.work / "views"):
            rows.append(row)
            print(" | ".join(map(str, row.values())), flush=True)
    table = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    settings.out.write_text(PAGE.format(revision=model.revision[:16], table=table), "utf-8")
    return OK


def rows_of(judged: Judged, model: Checkpoint, views: Path) -> Iterator[dict[str, str]]:
    """A row for each way of hearing and seeing a set, and for what needs no model."""
    known = {stream: bool(judged.store.ids(stream)) for stream in (STREAM, VOICE)}
    sets = judged.name.replace(" ", "_").replace(",", "")
    said: dict[str, np.ndarray] = {}
    for stream in (STREAM, VOICE) if all(known.values()) and judged.name.startswith("RAV") else ():
        said[stream] = probabilities(judged, model, _only(judged.store, stream, views / sets))
    if said:
        product = said[STREAM] * said[VOICE]
        said["late fusion: product of the two"] = product / product.sum(1, keepdims=True)
    stream = "both" if said else VOICE if "voices" in judged.name else STREAM
    said[stream] = probabilities(judged, model, judged.store)
    shares = np.bincount(judged.labels, minlength=len(EXPRESSIONS)) / len(judged.labels)
    constant = np.tile(shares, (len(judged.ids), 1))
    yield _row(judged, "most frequent class (knows the labels)", constant)
    for name, values in said.items():
        yield _row(judged, NAMES.get(name, name), values)


def probabilities(judged: Judged, model: Checkpoint, store: TrackStore) -> np.ndarray:
    """(N, 8) mean probabilities of each clip."""
    told = predict_clips(model, store, clips_of(store, judged.ids))
    found = {one.id: one.values[Expression.name].mean(axis=0) for one in told}
    return np.stack([found[name] for name in judged.ids]).astype(float)


def _only(store: TrackStore, stream: str, place: Path) -> TrackStore:
    """The store with one stream, by a link."""
    place = place / stream
    place.mkdir(parents=True, exist_ok=True)
    if not (place / stream).exists():
        (place / stream).symlink_to((store.root / stream).resolve())
    return TrackStore(place)


def _row(judged: Judged, how: str, values: np.ndarray) -> dict[str, str]:
    said, truth = values.argmax(axis=1), judged.labels
    several = len(np.unique(judged.people)) > 1
    people = judged.people if several else np.arange(len(truth))
    classes = np.unique(truth)

    def f1(rows: np.ndarray) -> float:
        return float(
            f1_score(truth[rows], said[rows], labels=classes, average="macro", zero_division=0)
        )

    kept, right = Reliability.empty(1), (said == truth).astype(float)
    kept.add(values.max(axis=1)[:, None], right[:, None], np.ones((len(truth), 1), bool))
    return {
        "set": judged.name,
        "clips": str(len(truth)),
        "people": str(len(np.unique(judged.people))),
        "model": how,
        "accuracy": str(mean_score(right, people)),
        "macro-F1": str(drawn_score(f1, people)),
        "calibration error": f"{kept.errors()[0]:.3f}",
    }


PAGE = """\
# The packaged model on people it has not seen

Written by `python -m experiments.pretraining.base.compare_base --data DIR --corpus CORPUS`;
checkpoint `{revision}`. ± is a standard error, by person where there are several, else by clip.

{table}

"""

main = partial(
    run,
    CompareBase,
    compare,
    prog="experiments.pretraining.base.compare_base",
    description=__doc__ or "",
)

if __name__ == "__main__":
    main()
