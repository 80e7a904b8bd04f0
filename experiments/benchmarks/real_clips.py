"""Extraction and prediction on real clips, as a page of what was found.

Data flow: folders of videos > tracks > predictions of a checkpoint > Markdown page and timelines.

    python -m experiments.benchmarks.real_clips \
        --folders '[../shared/data/clips,../shared/data/ravdess/video]'

The page holds numbers and timelines only: the clips' licences allow no pictures of them.
"""

import time
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np

from features.cli.app import FAILED, OK, run
from features.extract import ExtractSettings, SourceSettings, extract
from features.media import probe, read_sound
from features.pipeline.discovery import find_sources
from features.pipeline.timing import StageTimes
from features.store.feature_track import FeatureTrack, write_atomically
from features.store.track_store import TrackStore
from fusion.data.predictions import FramePredictions, write_predictions
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.predictor import clips_of_store, predict_clips
from fusion.report import ReportSettings, report
from fusion.tasks.labels import EXPRESSIONS

RESULTS = Path(__file__).parents[1] / "results"
HEAD = (
    "| clip | picture | frames | seconds | time a frame, ms | face | bridged | people | sound"
    " | extraction, s | V | A | expression | oddities |"
)


@dataclass
class RealClipsSettings:
    """Settings of the study.

    Args:
        folders: Folders with videos.
        checkpoint: Model that predicts.
        work: Folder for tracks and predictions.
        page: The page that is written; timelines go beside it.
        draw: Ids whose timelines are kept beside the page.
    """

    folders: list[Path]
    checkpoint: Path = Path("runs/demo/fused/best.ckpt")
    work: Path = Path("runs/real-clips")
    page: Path = RESULTS / "real-clips.md"
    draw: list[str] = field(default_factory=lambda: ["liveportrait_d6", "video_retalking_1"])


def describe(path: Path, store: TrackStore, seconds: float, predicted: FramePredictions) -> str:
    """One row of the table."""
    name, info = path.stem, probe(path)
    faces, prosody = store.read("faces", name), store.read("prosody", name)
    steps = np.diff(faces.times) * 1000
    bridged = (faces.values[:, 15] > 0.5) & faces.valid
    people = [i for i in store.ids("faces") if i in (f"{name}_left", f"{name}_right")]
    cells = [
        name,
        f"{info.width}x{info.height}",
        len(faces),
        f"{faces.times[-1]:.2f}",
        f"{steps.min():.0f} to {steps.max():.0f}" if np.ptp(steps) > 1.5 else f"{steps.mean():.1f}",
        f"{faces.valid.mean():.1%}",
        int(bridged.sum()),
        len(people) or int(faces.valid.any()),
        describe_sound(path, prosody),
        f"{seconds:.1f}",
        f"{predicted.va[:, 0].mean():+.2f}",
        f"{predicted.va[:, 1].mean():+.2f}",
        EXPRESSIONS[np.bincount(predicted.expr_class).argmax()],
        "; ".join(oddities(info.frames, faces, prosody, info.rotation)) or "none",
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def describe_sound(path: Path, prosody: FeatureTrack) -> str:
    """Length and offset of the sound."""
    sound = read_sound(path, 16_000)
    if sound is None:
        return "none"
    return f"{len(prosody) / 50:.1f} s from {sound.offset:+.3f} s"


def oddities(declared: int, faces: FeatureTrack, prosody: FeatureTrack, rotation: int) -> list[str]:
    """What differs from a plain clip."""
    found = []
    if declared != len(faces):
        found.append(f"container says {declared} frames")
    steps = np.diff(faces.times)
    if np.ptp(steps) > 0.0015:
        found.append("varying frame times")
    if rotation:
        found.append(f"rotated by {rotation} degrees")
    if len(prosody) and not np.ptp(prosody.values.astype(np.float32), axis=0).any():
        found.append("silent sound")
    if not faces.valid.all():
        found.append(f"{int((~faces.valid).sum())} frames without a face")
    return found


def extract_each(
    settings: RealClipsSettings,
) -> tuple[dict[Path, float], dict[str, str], StageTimes]:
    """Extracts clip by clip: seconds of each, causes of failures by id, time by stage."""
    seconds: dict[Path, float] = {}
    failures: dict[str, str] = {}
    stages = StageTimes()
    for folder in settings.folders:
        for source in find_sources(folder):
            if source.media is None:
                continue
            began = time.perf_counter()
            data = SourceSettings(root=source.media, store=settings.work / "tracks")
            summary = extract(ExtractSettings(data=data))
            seconds[source.media] = time.perf_counter() - began
            failures |= summary.failures
            stages.merge(summary.times)
    return seconds, failures, stages


def command(settings: RealClipsSettings) -> int:
    """Writes the page."""
    seconds, failures, stages = extract_each(settings)
    store = TrackStore(settings.work / "tracks")
    checkpoint = load_checkpoint(settings.checkpoint)
    predicted = {one.id: one for one in predict_clips(checkpoint, store, clips_of_store(store))}
    for one in predicted.values():
        write_predictions(one, settings.work / "predictions")
    drawing = ReportSettings(
        settings.work / "predictions", store=store.root, out=settings.page.parent
    )
    pictures = [
        report(replace(drawing, id=name)).pictures[name]
        for name in settings.draw
        if name in predicted
    ]
    good = [path for path in seconds if path.stem in predicted]
    rows = [describe(path, store, seconds[path], predicted[path.stem]) for path in good]
    frames = sum(len(predicted[path.stem]) for path in good)
    total = sum(seconds[path] for path in good)
    encoders = ", ".join(f"`{name}`" for name in ExtractSettings().encoders)
    lines = [
        "# Real clips",
        "",
        f"Written by `python -m experiments.benchmarks.real_clips` on {date.today()}.",
        "",
        f"{len(seconds)} clips, {len(failures)} failed; {frames} frames in {total:.0f} s with"
        f" {encoders} ({frames / total:.1f} frames a second, start of encoders"
        " included). Valence, arousal and expression come from the demo's model, which has seen"
        " nothing but one synthetic face: they show that the path works, not what people feel.",
        "",
        "By stage (frames, or seconds of sound): " + "; ".join(stages.lines()) + ".",
        "",
        HEAD,
        "|" + "---|" * (HEAD.count("|") - 1),
        *rows,
        *(f"\nFailed: {name}: {cause}" for name, cause in failures.items()),
        *(f"\n![timeline of {path.stem}]({path.name})" for path in pictures),
    ]
    write_atomically(settings.page, ("\n".join(lines) + "\n").encode())
    print(settings.page)
    return FAILED if failures else OK


if __name__ == "__main__":
    run(
        RealClipsSettings,
        command,
        prog="experiments.benchmarks.real_clips",
        description=__doc__.split("\n")[0],
    )
