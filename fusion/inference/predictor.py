"""From a checkpoint and aligned streams to frame-level predictions.

Data flow: clips > (statistics of their people) > networks > scores of each task, by the network
that answers it > RawScores > the checkpoint's decision > FramePredictions.

Letters: F frames of a clip.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from features.cli.progress import ProgressReport
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import CorpusKind
from fusion.corpora import with_persons
from fusion.data.columns import parted
from fusion.data.loading.multi_corpus import Source, file_of
from fusion.data.prediction_files import MADE_OF
from fusion.data.predictions import FramePredictions
from fusion.data.run_identity import recipe_of
from fusion.data.seen import CROSS_FITTED, LEARNT, RECIPE, TUNED, chosen_by, marks
from fusion.inference.checkpoint import Checkpoint
from fusion.inference.made_of import made_of
from fusion.inference.provenance import CHOSEN
from fusion.inference.runner import NetworkRunner
from fusion.inference.uncertainty import measures_of
from fusion.postprocess.decision import Decision, RawScores
from fusion.streams.clip_streams import ClipStreams, load_clip
from fusion.streams.clip_tracks import clip_ids, clips_of
from fusion.streams.person_normalization import People, fit_people
from fusion.streams.stream_spec import require_same_specs, stream_specs
from fusion.tasks.clips import Clip

log = logging.getLogger(__name__)


def predict_clips(
    checkpoint: Checkpoint,
    store: TrackStore,
    clips: Sequence[Clip],
    among: Sequence[Clip] | None = None,
    cache: Path | None = None,
    *,
    cross_fitted: bool = False,
    draws: int = 0,
) -> Iterator[FramePredictions]:
    """Predicts clip after clip; those without any track are left out.

    Args:
        checkpoint: The model.
        store: The tracks.
        clips: Clips to predict.
        among: Clips whose frames give the statistics of people, for a checkpoint that adapts to
            them; None: `clips`. To be given where some clips of a person were predicted before.
        cache: Folder of aligned tracks. None: the one of the checkpoint's run, if it is there,
            else `.aligned` in the store.
        cross_fitted: Decide a clip that the checkpoint was tuned on by what was chosen on other
            people, so that scores of it may be quoted.
        draws: Of dropout, from which each value's uncertainty is taken; 0: none is told.

    Raises:
        UserError: If the store's tracks come from other encoders than the checkpoint's.
    """
    made = predictions_made_of(checkpoint, store, clips, among, cross_fitted=cross_fitted)
    for raw in raw_scores(checkpoint, store, clips, among, cache, draws=draws):
        file = file_of(store, raw.clip, checkpoint.specs)
        known = marks(checkpoint.provenance, raw.clip, file)
        decision = checkpoint.decision
        if cross_fitted and TUNED in known:
            other = checkpoint.held_out_decision(raw.clip.id, file)
            if other is not None:
                decision, known[CROSS_FITTED] = other, known.pop(TUNED)
        yield _to_predictions(checkpoint, raw, decision, {MADE_OF: made[raw.clip.id], **known})


def predictions_made_of(
    checkpoint: Checkpoint,
    store: TrackStore,
    clips: Sequence[Clip],
    among: Sequence[Clip] | None = None,
    *,
    cross_fitted: bool = False,
) -> dict[str, str]:
    """Clip to the fingerprint that its predictions bear in their provenance, as `MADE_OF`."""
    dims = {name: spec.dim for name, spec in checkpoint.specs.items()}
    every = {clip.id: Source(clip, clip, store) for clip in (*(among or ()), *clips)}
    return made_of(
        checkpoint.revision + ("-cross-fitted" if cross_fitted else ""),
        every.values(),
        dims,
        checkpoint.network.align_window,
        adapts=checkpoint.adaptation.kind == "person",
    )


def raw_scores(
    checkpoint: Checkpoint,
    store: TrackStore,
    clips: Sequence[Clip],
    among: Sequence[Clip] | None = None,
    cache: Path | None = None,
    *,
    draws: int = 0,
) -> Iterator[RawScores]:
    """As `predict_clips`, but what the model says, with nothing decided.

    Raises:
        UserError: If the store's tracks come from other encoders than the checkpoint's.
    """
    held = [name for name in checkpoint.specs if store.ids(name)] or list(checkpoint.specs)
    require_same_specs({name: checkpoint.specs[name] for name in held}, stream_specs(store, held))
    cache = cache or _cache_of_run(checkpoint)
    people = _people(checkpoint, store, clips if among is None else among, cache)
    with ProgressReport("predict", len(clips)) as progress:
        for clip in clips:
            streams = _streams(checkpoint, store, clip, cache)
            if streams is not None:
                runner = NetworkRunner(clip, streams, people)
                yield _answered(checkpoint, runner, draws)
            progress.step(clip.id)


def _answered(checkpoint: Checkpoint, runner: NetworkRunner, draws: int) -> RawScores:
    """What the networks say of a clip, each of the task that it answers."""
    scores: dict[str, np.ndarray] = {}
    samples: list[dict[str, np.ndarray]] = [{} for _ in range(draws)]
    for one in {id(one): one for one in checkpoint.answers.values()}.values():
        mine = [task for task, other in checkpoint.answers.items() if other is one]
        said = parted(runner.run(one).scores, one.tasks)
        scores |= {task: said[task] for task in mine}
        for sample, drawn in zip(samples, runner.samples(one, draws), strict=True):
            apart = parted(drawn, one.tasks)
            sample.update({task: apart[task] for task in mine})
    times, face = runner.streams.times, runner.streams.face
    return RawScores(runner.clip, times, face, scores, samples)


def known_people(
    checkpoint: Checkpoint, clips: Sequence[Clip], root: Path | None, challenge: CorpusKind = "auto"
) -> list[Clip]:
    """Clips with their persons, for a checkpoint that adapts to people; else as they are.

    Args:
        checkpoint: Whose predictions are wanted.
        clips: Clips that are known by their ids alone.
        root: Folder of the data set; `people.csv` in it, or its labels, name the persons.
        challenge: Which of ABAW's annotations count.
    """
    adapts = checkpoint.adaptation.kind == "person"
    return with_persons(clips, root, challenge) if adapts else list(clips)


def _cache_of_run(checkpoint: Checkpoint) -> Path | None:
    """Where the run kept its aligned tracks, if that is on this machine."""
    named = checkpoint.config.get("data", {}).get("cache")
    return Path(named) if named and Path(named).is_dir() else None


def _people(
    checkpoint: Checkpoint, store: TrackStore, clips: Sequence[Clip], cache: Path | None
) -> People | None:
    """Statistics of all people, if the checkpoint adapts to them; says what it adapts to."""
    text = checkpoint.adaptation.lines("test")
    people = None
    if checkpoint.adaptation.kind == "person":
        pairs = ((clip, _streams(checkpoint, store, clip, cache)) for clip in clips)
        dims = {name: spec.dim for name, spec in checkpoint.specs.items()}
        people = fit_people(pairs, dims, len(clips))
        text += people.lines()
    for line in text:
        log.info("%s", line)
    return people


def _streams(
    checkpoint: Checkpoint, store: TrackStore, clip: Clip, cache: Path | None
) -> ClipStreams | None:
    dims = {name: spec.dim for name, spec in checkpoint.specs.items()}
    return load_clip(store, clip, dims, checkpoint.network.align_window, cache)


def clips_of_store(store: TrackStore) -> list[Clip]:
    """Everybody in a store who can be predicted, as clips without labels."""
    return clips_of(store, clip_ids(store))


def _to_predictions(
    checkpoint: Checkpoint, raw: RawScores, decision: Decision, known: Mapping[str, str]
) -> FramePredictions:
    """Scores of one clip decided, with what made them, and from what, and what that knew of it."""
    values = decision.apply(raw)
    revisions = {f"stream {n}": f"{s.encoder} {s.revision}" for n, s in checkpoint.specs.items()}
    return FramePredictions(
        id=raw.clip.id,
        video=raw.clip.video,
        times=raw.times,
        face=raw.face,
        tasks=checkpoint.tasks,
        values=values,
        thresholds=decision.thresholds(),
        provenance={"checkpoint": checkpoint.revision, **known, **_origin(checkpoint), **revisions},
        measures=measures_of(decision, raw, values),
    )


def _origin(checkpoint: Checkpoint) -> dict[str, str]:
    """The data and labels that the model has seen, for the rules of challenges."""
    origin, lines = checkpoint.provenance, checkpoint.adaptation.lines("test")
    return {
        "corpus": str(origin.get("corpus", "")),
        "tasks": " ".join(str(task).upper() for task in origin.get("tasks", ())),
        CHOSEN: " ".join(chosen_by(origin)).upper(),
        LEARNT: " ".join(checkpoint.learnt).upper(),
        RECIPE: recipe_of(checkpoint.config),
        **({"adaptation": lines[0]} if lines else {}),
    }
