"""`python -m fusion.evaluate --challenge CE`: what is read, and what is printed.

Data flow: labels of CE_Challenge + stored predictions, or checkpoint + tracks > CompoundEvaluation
> lines, a folder of tables, or a comparison of two folders of predictions.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from features.cli.app import FAILED, OK
from features.cli.default_corpus import default_store, root_or_demo
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.abaw.reading.compound import CompoundLabels, read_compound_corpus
from fusion.data.predictions import FramePredictions, list_predictions, read_predictions
from fusion.evaluation.compound_scoring import (
    CompoundEvaluation,
    compare_compounds,
    lines_of,
    notes_of,
    write_compound_report,
)
from fusion.metrics.remarks import MARK, in_sample, require_unseen
from fusion.reporting.score_report import format_comparison, write_comparison

if TYPE_CHECKING:
    from fusion.evaluate import EvaluateSettings

REMEDY = "score clips whose expressions it was not trained on,"


def command_of_compounds(settings: "EvaluateSettings") -> int:
    """Prints scores with an interval, or a comparison, and what is not as expected."""
    split = None if settings.split == "held_out" else settings.split
    root = settings.data.truth or root_or_demo(settings.data.root)
    labels = read_compound_corpus(root, split)
    if settings.against is not None:
        return _compare(settings, labels)
    name = str(settings.pred or settings.checkpoint)
    evaluation = _scored(settings.pred, labels) if settings.pred else _predicted(settings, labels)
    if not settings.in_sample:
        require_unseen([evaluation], [name], REMEDY)
    if evaluation.scored:
        intervals = evaluation.intervals(settings.draws, settings.seed)
        videos = settings.rules.line(len(evaluation.videos()))
        notes = [videos, *notes_of(evaluation)]
        print("\n".join([*lines_of(evaluation, intervals), *notes]))
        if settings.out:
            print(write_compound_report(settings.out, evaluation, intervals, notes, name))
    lacks = "prediction" if settings.pred else "track; run python -m features.extract"
    return _complaints(evaluation, lacks)


def _compare(settings: "EvaluateSettings", labels: Mapping[str, CompoundLabels]) -> int:
    """Compares two folders of predictions on the clips that both have."""
    if settings.pred is None or settings.against is None:
        raise UserError("--against compares with stored predictions; name the others by --pred")
    folders = (settings.pred, settings.against)
    held = [list_predictions(folder).keys() & labels.keys() for folder in folders]
    shared = held[0] & held[1]
    if not shared:
        raise UserError(f"{folders[0]} and {folders[1]} share no clip with compound labels")
    own = {name: labels[name] for name in sorted(shared)}
    pair = [_scored(folder, own) for folder in folders]
    names = [str(folder) for folder in folders]
    if broken := pair[0].missing or pair[1].missing:
        raise UserError(f"'{broken[0]}' cannot be read in both; predict it again")
    if not settings.in_sample:
        require_unseen(pair, names, REMEDY)
    comparisons = compare_compounds(pair[0], pair[1], settings.draws, settings.seed)
    mark = MARK if any(map(in_sample, pair)) else ""
    lines = format_comparison(comparisons, names, list(comparisons)).splitlines()
    lines.append(settings.rules.line(len(pair[0].videos())))
    print("\n".join(mark + line for line in lines))
    if settings.out:
        videos = len(pair[0].videos())
        print(write_comparison(settings.out, comparisons, settings.rules, names, videos))
    for name in sorted((held[0] | held[1]) - shared):
        print(f"remark: {name}: left out: only one of the two has it")
    return max(_complaints(one, "prediction") for one in pair)


def _scored(folder: Path, labels: Mapping[str, CompoundLabels]) -> CompoundEvaluation:
    """Holds stored predictions against the labels, one file at a time."""
    evaluation = CompoundEvaluation(labels=labels)
    paths = {name: path for name, path in list_predictions(folder).items() if name in labels}
    if not paths:
        raise UserError(f"{folder}: none of the clips with compound labels, such as {min(labels)}")
    with ProgressReport("score", len(paths)) as progress:
        for name, path in paths.items():
            try:
                evaluation.add(read_predictions(path))
            except UserError as error:
                evaluation.faults[name] = str(error)
            progress.step(name)
    return evaluation


def _predicted(
    settings: "EvaluateSettings", labels: Mapping[str, CompoundLabels]
) -> CompoundEvaluation:
    """Holds what a checkpoint says against the labels."""
    evaluation = CompoundEvaluation(labels=labels)
    for one in _predictions(settings, labels):
        evaluation.add(one)
    return evaluation


def _predictions(
    settings: "EvaluateSettings", labels: Mapping[str, CompoundLabels]
) -> Iterator[FramePredictions]:
    # Here, for torch takes seconds that stored predictions do without.
    from fusion.inference.checkpoint import load_checkpoint
    from fusion.inference.predictor import known_people, predict_clips
    from fusion.streams.clip_tracks import clips_of

    checkpoint = load_checkpoint(settings.checkpoint, settings.device)
    root = root_or_demo(settings.data.root)
    store = TrackStore(settings.data.store or default_store(root))
    clips = clips_of(store, sorted(labels))
    people = known_people(checkpoint, clips, root, settings.data.annotations(checkpoint.config))
    cache = settings.data.cache
    yield from predict_clips(checkpoint, store, people, cache=cache, cross_fitted=True)


def _complaints(evaluation: CompoundEvaluation, lacks: str) -> int:
    """Prints what is not as expected, a line each, and returns the exit status."""
    for name in evaluation.missing:
        print(f"not scored: {name} has labels but no {lacks}")
    for name, remark in evaluation.remarks.items():
        print(f"remark: {name}: {remark}")
    for name, fault in evaluation.faults.items():
        print(f"fault: {name}: {fault}")
    return FAILED if evaluation.missing or evaluation.faults else OK
