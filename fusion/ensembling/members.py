"""Members of an ensemble: checkpoints and folders of predictions, all as folders.

Data flow: checkpoint + tracks > folder of predictions; folder > predictions of one clip by all.

A checkpoint's predictions are kept, so that an ensemble that was stopped goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from features.cli.default_corpus import root_or_demo
from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.errors import UserError
from features.store.fingerprint import settings_hash
from features.store.track_store import TrackStore
from fusion.data.predictions import (
    FramePredictions,
    list_predictions,
    read_made_of,
    read_predictions,
    read_provenance,
    write_predictions,
)
from fusion.ensembling.averaging import VaMoments, VaStatistics, require_same_frames
from fusion.evaluation.scored_clips import CorpusSettings
from fusion.tasks.labels import EXPRESSIONS, UNITS, Clip


@dataclass(frozen=True)
class Member:
    """One member.

    Attributes:
        name: As the user calls it.
        folder: Of its predictions.
        files: Its predictions by id.
    """

    name: str
    folder: Path
    files: dict[str, Path] = field(default_factory=dict)

    def provenance(self, track_id: str) -> dict[str, str]:
        """What the predictions of a clip say of what made them."""
        return read_provenance(self.files[track_id])


def folder_member(path: Path) -> Member:
    """A folder of predictions as a member.

    Raises:
        UserError: If there are none, or they are of another set of labels.
    """
    files = list_predictions(path)
    if not files:
        raise UserError(f"{path}: no predictions in it; fusion.predict makes some")
    _require_labels(next(iter(files.values())))
    return Member(str(path), path, files=files)


def checkpoint_member(
    path: Path,
    store: TrackStore,
    clips: Sequence[Clip],
    keep: Path,
    data: CorpusSettings,
    *,
    cross_fitted: bool = False,
    device: str = "auto",
) -> Member:
    """A checkpoint as a member: predicts the clips into a folder of its own below `keep`.

    What it predicted of the same tracks before is found there.

    Args:
        path: The checkpoint.
        store: The tracks.
        clips: What to predict, known by ids alone.
        keep: Where the folders of members lie.
        data: Says who is seen in the clips, and where aligned tracks are kept.
        cross_fitted: As to `predict_clips`; such predictions have a folder of their own.
        device: Where the model computes.

    Raises:
        UserError: If the checkpoint cannot be read or its tracks are of another encoder.
    """
    from fusion.inference.checkpoint import load_checkpoint  # torch is not needed for folders alone
    from fusion.inference.predictor import known_people, predict_clips, predictions_made_of

    checkpoint = load_checkpoint(path, device)
    root = root_or_demo(data.root) if checkpoint.adaptation.kind == "person" else None
    clips = known_people(checkpoint, clips, root, data.annotations(checkpoint.config))
    where = settings_hash(str(store.root.resolve()))
    folder = keep / f"{checkpoint.revision}-{where}{'-cross-fitted' if cross_fitted else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    made = predictions_made_of(checkpoint, store, clips, cross_fitted=cross_fitted)
    kept = list_predictions(folder)
    todo = {
        clip.id: clip
        for clip in clips
        if clip.id not in kept or read_made_of(kept[clip.id]) != made[clip.id]
    }
    for name in kept.keys() & todo.keys():
        kept[name].unlink()  # so that nothing stale is left of clips without tracks by now
    if todo:
        absent = list(todo.values())
        for one in predict_clips(
            checkpoint, store, absent, clips, data.cache, cross_fitted=cross_fitted
        ):
            write_predictions(one, folder)
    return Member(str(path), folder, list_predictions(folder))


def read_clip(members: Sequence[Member], track_id: str) -> list[FramePredictions]:
    """All members' predictions of one clip.

    Raises:
        UserError: If a file is damaged, or of other frames than the first member's.
    """
    predictions = [read_predictions(member.files[track_id]) for member in members]
    require_same_frames(predictions, [member.name for member in members])
    return predictions


def require_clips(members: Sequence[Member], ids: Sequence[str]) -> None:
    """Checks that each member has predictions of each id.

    Raises:
        UserError: If not; names the member and the first id.
    """
    for member in members:
        absent = [name for name in ids if name not in member.files]
        if absent:
            raise UserError(
                f"{member.name}: no predictions of {len(absent)} of {counted(len(ids), 'clip')},"
                f" such as '{absent[0]}'; predict them, or leave this member out"
            )


def folder_statistics(members: Sequence[Member], ids: Sequence[str]) -> VaStatistics:
    """Statistics of the members over all clips.

    Raises:
        UserError: If one gives a class no probability on any frame that another knows.
    """
    moments, known = VaMoments(len(members)), np.zeros((len(members), len(EXPRESSIONS)), bool)
    with ProgressReport("read", len(ids)) as progress:
        for name in ids:
            clip = read_clip(members, name)
            moments.add(np.stack([one.va for one in clip]))
            known |= np.array([(one.expr > 0).any(axis=0) for one in clip])
            progress.step(name)
    for member, classes in zip(members, known, strict=True):
        if unknown := np.flatnonzero(known.any(axis=0) & ~classes).tolist():
            raise UserError(
                f"{member.name}: made for another set of labels (no {EXPRESSIONS[unknown[0]]} on"
                " any frame); the members of an ensemble must share theirs"
            )
    return moments.statistics()


def _require_labels(path: Path) -> None:
    """UserError if a file of predictions lacks one of the labels."""
    lacking = [name for name in (*EXPRESSIONS, *UNITS) if name not in _columns(path)]
    if lacking:
        raise UserError(
            f"{path}: made for another set of labels (no {', '.join(lacking)});"
            " the members of an ensemble must share theirs"
        )


def _columns(path: Path) -> list[str]:
    if path.suffix == ".csv":
        with path.open() as file:
            return file.readline().rstrip("\n").replace('"', "").split(",")
    try:
        return list(pa.parquet.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: damaged or not predictions; run fusion.predict again") from error
