"""Features and scores of every clip, made once by a finished stage for those after it.

Data flow: checkpoint + clips of the stage that asks > NetworkRunner > tracks (stage_outputs.py).
"""

from collections.abc import Mapping, Sequence

from features.progress import ProgressReport
from fusion.adaptation import People, fit_people
from fusion.checkpoint import load_checkpoint
from fusion.clips import ClipStreams, Rows, load_clip
from fusion.extra_corpora import Source
from fusion.network import Network
from fusion.run_network import NetworkRunner
from fusion.stage_outputs import FEATURES, StageOutputs


def export_outputs(
    stage: StageOutputs,
    sources: Sequence[Source],
    kinds: Sequence[str],
    align_window: float,
    earlier: Mapping[str, StageOutputs],
) -> None:
    """Writes the outputs of a stage for some clips; those that are there already stay.

    Args:
        stage: Whose outputs.
        sources: Clips of one split, with their tracks; those without any are left out.
        kinds: `features`, `scores` or both.
        align_window: Seconds over which audio tokens are averaged for a frame.
        earlier: Stages by name, whose features are read where they are there.
    """
    absent = [one for one in sources if not stage.is_there(one.clip, kinds)]
    if not absent:
        return
    network = load_checkpoint(stage.checkpoint).network
    people = _people(network, sources, stage, align_window)
    with ProgressReport(f"{stage.name}: {' and '.join(kinds)}", len(absent)) as progress:
        for one in absent:
            streams = _streams(one, stage, align_window)
            if streams is not None:
                runner = NetworkRunner(one.clip, streams, people)
                made = vars(runner.run(network, _feeds(stage, one, len(streams), earlier)))
                stage.write(one.clip, streams.times, {kind: made[kind] for kind in kinds})
            progress.step(one.clip.id)


def _streams(source: Source, stage: StageOutputs, align_window: float) -> ClipStreams | None:
    return load_clip(source.store, source.own, stage.streams, align_window, source.cache)


def _people(
    network: Network, sources: Sequence[Source], stage: StageOutputs, align_window: float
) -> People | None:
    """Statistics of the people of all clips of the split, if a network adapts to them."""
    if not any(one.adaptation.kind == "person" for one in network.all()):
        return None
    pairs = ((one.clip, _streams(one, stage, align_window)) for one in sources)
    return fit_people(pairs, stage.streams, len(sources))


def _feeds(
    stage: StageOutputs, source: Source, frames: int, earlier: Mapping[str, StageOutputs]
) -> dict[str, Rows] | None:
    """Features that feed the stage, if the stages that made them have left them; else None."""
    found = {
        name: one
        for name, revision in stage.feeds.items()
        if (one := earlier.get(name)) and one.revision == revision
    }
    if len(found) < len(stage.feeds):
        return None
    if not all(one.is_there(source.clip, [FEATURES]) for one in found.values()):
        return None
    return {name: one.rows(FEATURES, source.clip, frames) for name, one in found.items()}
