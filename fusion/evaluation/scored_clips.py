"""Which labelled clips are scored: of a split, of a hidden truth, or what a run has held out.

Data flow: corpus folder + split (or checkpoint) > clips with labels, none of which the checkpoint
was trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.cli.default_corpus import root_or_demo
from features.cli.wording import counted
from features.errors import UsageError, UserError
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import CorpusKind, read_truth
from fusion.abaw.reading.apart import READERS
from fusion.corpora import read_corpus
from fusion.data.seen import is_among, trained_clips
from fusion.tasks.clips import Clip
from fusion.tasks.registry import sources_of, title_of

if TYPE_CHECKING:
    from fusion.inference.checkpoint import Checkpoint


@dataclass
class CorpusSettings:
    """Where the data lies.

    Args:
        root: Folder of the corpus. None: the demo corpus.
        store: Folder of the tracks. None: `ROOT/tracks`.
        cache: Folder of aligned tracks. None: that of the checkpoint's run, if it is here, else
            `.aligned` in the store.
        challenge: Which of ABAW's annotations count in a folder that holds both: of single tasks,
            or the multi-task ones (mtl). auto: there must be only one kind, or a checkpoint says
            which it was trained with.
    """

    root: Path | None = None
    store: Path | None = None
    cache: Path | None = None
    challenge: CorpusKind = "auto"

    def annotations(self, config: Mapping[str, Any]) -> CorpusKind:
        """`challenge`, or what a checkpoint of this config was trained with."""
        trained: CorpusKind = config.get("data", {}).get("challenge", "auto")
        return trained if self.challenge == "auto" else self.challenge


@dataclass
class LabelledSettings(CorpusSettings):
    """Where the data lies, and labels that are no part of the corpus.

    Args:
        truth: Folder with `Test_Set` folders of real labels, to score those clips instead.
    """

    truth: Path | None = None


def labelled_clips(
    data: LabelledSettings,
    split: str | None,
    checkpoint: "Checkpoint | None" = None,
    task: str = "",
) -> list[Clip]:
    """Clips to score: of the hidden truth if there is one, else of a split.

    Args:
        data: Where they lie.
        split: Which; None and held_out as in `EvaluateSettings`.
        checkpoint: What is scored, if it is one.
        task: Alone; empty: all of which the corpus has labels. Of one whose labels lie apart, the
            clips of all splits if none is asked for.

    Raises:
        UserError: If there is none with labels.
    """
    if task in READERS:
        root = data.truth or root_or_demo(data.root)
        return READERS[task](root, None if split == "held_out" else split)
    challenge = data.annotations(checkpoint.config if checkpoint else {})
    if data.truth:
        clips, where = read_truth(data.truth, challenge), data.truth
    else:
        where = root_or_demo(data.root)
        clips = _of_split(where, split, checkpoint, challenge)
    clips = [clip for clip in clips if len(clip.labels)]
    if not clips:
        name = split or "validation"
        raise UserError(f"{where}: no labelled '{name}' clips; see --split, --data.truth")
    if not task:
        return clips
    alone = [replace(clip, labels=clip.labels.of_task(task)) for clip in clips]
    if not (kept := [clip for clip in alone if clip.labels.tasks()]):
        raise UserError(f"no clip has a label of {title_of(task)}; see --challenge, --split")
    return kept


def _of_split(
    root: Path, split: str | None, checkpoint: "Checkpoint | None", challenge: CorpusKind
) -> list[Clip]:
    """Clips of a split of a corpus, or those that a checkpoint's run has held out."""
    clips = read_corpus(root, challenge)
    if split != "held_out":
        wanted = [clip for clip in clips if clip.split == (split or "validation")]
        if split or checkpoint is None or any(len(clip.labels) for clip in wanted):
            return wanted
    if checkpoint is None:
        raise UsageError("--split held_out is for a --checkpoint; name the split of predictions")
    from fusion.training.validation import held_out_clips

    return held_out_clips(checkpoint, root, challenge)


def require_untrained(checkpoint: "Checkpoint", store: TrackStore, clips: Sequence[Clip]) -> None:
    """Raises UserError, before the work, if the checkpoint was trained on labels of the clips."""
    from fusion.data.loading.multi_corpus import file_of

    seen = trained_clips(checkpoint.provenance)

    def is_seen(clip: Clip, sources: set[str]) -> bool:
        file = file_of(store, clip, checkpoint.specs)
        return any(is_among(seen[each], clip.id, file) for each in sources & seen.keys())

    learnt = {
        t for c in clips for t in c.labels.tasks() if {*sources_of([t])} & {*checkpoint.learnt}
    }
    scored = [(c, own) for c in clips if (own := learnt & {*c.labels.tasks()})]
    if found := [clip.id for clip, own in scored if is_seen(clip, {*sources_of(own)})]:
        raise UserError(
            f"{checkpoint.path}: trained on {len(found)} of {counted(len(scored), 'clip')}, such as"
            f" '{found[0]}'; score what its run held out with --split held_out, or with"
            " --in_sample true for scores that are not to be quoted"
        )
