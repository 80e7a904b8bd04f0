"""What is said of the clips that are asked for, decided: read from predictions, or predicted.

ids > predictions, stored or made by a checkpoint > `decide` > decisions by id, and their sources.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from features.cli.default_corpus import default_store, root_or_demo
from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.abaw.rules import Source
from fusion.data.prediction_files import list_predictions, read_predictions
from fusion.data.predictions import FramePredictions
from fusion.evaluation.scored_clips import CorpusSettings
from fusion.inference.provenance import sources_of_checkpoint, sources_of_predictions

T = TypeVar("T")
Decide = Callable[[FramePredictions], T]


def read_decided(
    folder: Path, ids: Sequence[str] | None, checkpoint: Path, decide: Decide[T]
) -> tuple[dict[str, T], list[Source]]:
    """Decisions of the listed ids (None: of all) from stored predictions.

    Args:
        folder: With the predictions.
        ids: What is asked for.
        checkpoint: That may have made them.
        decide: Predictions of one id > what is decided.

    Raises:
        UserError: If a listed id has none, or a file is damaged.
    """
    files = list_predictions(folder)
    wanted = files if ids is None else ids
    _require_all(wanted, files, f"{folder}: no predictions", "run fusion.predict on them")
    decisions: dict[str, T] = {}
    provenances: set[tuple[tuple[str, str], ...]] = set()
    held: set[str] | None = None
    with ProgressReport("read predictions", len(wanted)) as progress:
        for name in wanted:
            one = read_predictions(files[name])
            decisions[name] = decide(one)
            provenances.add(tuple(sorted(one.provenance.items())))
            held = set(one.tasks) if held is None else held & set(one.tasks)
            progress.step(name)
    return decisions, sources_of_predictions(map(dict, provenances), checkpoint, held or ())


def predict_decided(
    path: Path, data: CorpusSettings, device: str, ids: Sequence[str], decide: Decide[T]
) -> tuple[dict[str, T], list[Source]]:
    """Decisions of the listed ids by a checkpoint.

    Raises:
        UserError: If a listed id has no track.
    """
    # Here, for torch takes seconds that --check does without.
    from fusion.inference.checkpoint import load_checkpoint
    from fusion.inference.predictor import known_people, predict_clips
    from fusion.streams.clip_tracks import clips_of, require_tracks

    checkpoint = load_checkpoint(path, device)
    root = root_or_demo(data.root)
    store = TrackStore(data.store or default_store(root))
    clips = clips_of(store, ids)
    require_tracks(store, clips, list(checkpoint.specs))
    clips = known_people(checkpoint, clips, root, data.annotations(checkpoint.config))
    said = predict_clips(checkpoint, store, clips, cache=data.cache)
    return {one.id: decide(one) for one in said}, sources_of_checkpoint(checkpoint)


def _require_all(wanted: Iterable[str], held: Iterable[str], lack: str, remedy: str) -> None:
    absent = sorted(set(wanted) - set(held))
    if absent:
        raise UserError(
            f"{lack} of {counted(len(absent), 'listed id')}: {', '.join(absent)}; {remedy}"
        )
