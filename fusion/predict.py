"""`python -m fusion.predict`: frame-level affect of any video, or of a store of tracks.

Data flow: video file or folder > tracks (missing ones are extracted) > model > one file per person.

    python -m fusion.predict talk.mp4                                # the packaged model
    python -m fusion.predict clips/ --checkpoint runs/mtl/best.ckpt  # one of your own
    python -m fusion.predict --store data/demo/tracks --out predictions --format csv

Prints a summary of each person. `affuse columns FILE` says what the columns mean.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from features.cli.app import FAILED, OK, run
from features.cli.wording import counted
from features.encoders.registry import EncoderSettings
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, extract
from features.faces.detect import FaceSettings
from features.pipeline.discovery import find_sources
from features.pipeline.source_hashes import SourceHashes
from features.store.track_store import TrackStore
from fusion.data.prediction_files import write_predictions
from fusion.inference.origins import Origin, origin_of_clip, origin_of_source
from fusion.measuring.baseline import between, with_baseline
from fusion.measuring.readings import with_readings
from fusion.measuring.words import summary_of
from fusion.pretrained import BESIDE, DRAWS, PACKAGED
from fusion.tasks.registry import title_of

if TYPE_CHECKING:  # loads torch
    from fusion.inference.checkpoint import Checkpoint


@dataclass
class PredictSettings(EncoderSettings):
    """Settings of prediction.

    Args:
        checkpoint: File written by fusion.train. None: the packaged model.
        input: Video or sound file, or folder of them; its tracks go to `store`.
        store: Folder of tracks. None: `OUT/tracks`.
        cache: Folder of aligned tracks. None: that of the checkpoint's run, if it is here, else
            `.aligned` in the store.
        out: Folder for the predictions.
        format: parquet or csv.
        faces: How faces are found, as in the extraction that the model was trained on.
        persons: Who is kept of an input: `main`, so many at most, or `all`.
        workers: Processes that extract; `auto`, or 0 for none but this one.
        baseline: Neutral state of the person, for columns NAME_bc beside NAME: `auto` (the median
            over trusted frames), seconds `FROM-TO`, or `none`.
        draws: Of the model's dropout, from which columns NAME_sd are taken; 0: none. None: 8 of the
            packaged model, else 0.
    """

    POSITIONAL: ClassVar[str] = "input"
    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "checkpoint",
        "out",
        "format",
        "store",
        "persons",
        "workers",
        "device",
        "baseline",
        "draws",
        "faces.every",
    )

    checkpoint: Path | None = None
    input: Path | None = None
    store: Path | None = None
    cache: Path | None = None
    out: Path = Path("predictions")
    format: Literal["parquet", "csv"] = "parquet"
    faces: FaceSettings = field(default_factory=FaceSettings)
    persons: str = "2"
    workers: str = "auto"
    baseline: str = "auto"
    draws: int | None = None

    def people_from(self) -> Path | None:
        """Folder whose `people.csv`, or labels, name the persons: the input's, or the store's."""
        if self.input is not None:
            return self.input if self.input.is_dir() else self.input.parent
        return self.store.absolute().parent if self.store else None


def extract_input(settings: PredictSettings, checkpoint: "Checkpoint", store: Path) -> bool:
    """Extracts what the checkpoint needs from the input; whether all of it succeeded."""
    encoders = {spec.encoder for spec in checkpoint.specs.values()}
    if settings.checkpoint is None:
        encoders.update(BESIDE)
    encoder_settings = vars(EncoderSettings.within(settings))
    summary = extract(
        ExtractSettings(
            **encoder_settings,
            data=SourceSettings(root=settings.input, store=store),
            encoders=sorted(encoders),
            faces=settings.faces,
            persons=settings.persons,
            workers=settings.workers,
        )
    )
    print(summary)
    return summary.complete


def command(settings: PredictSettings) -> int:
    """Extracts if there is an input, predicts, and lists what was written."""
    if settings.input is None and settings.store is None:
        raise UserError("nothing to predict; give --input VIDEO_OR_FOLDER or --store TRACKS")
    between(settings.baseline)
    from fusion.inference.checkpoint import load_checkpoint
    from fusion.inference.predictor import clips_of_store, known_people, predict_clips

    packaged = settings.checkpoint is None
    checkpoint = load_checkpoint(settings.checkpoint or PACKAGED, settings.device)
    draws = settings.draws if settings.draws is not None else DRAWS if packaged else 0
    folder = settings.store or settings.out / "tracks"
    sources = {} if settings.input is None else origins_of(settings.input, folder)
    for video, origin in sources.items():
        origin.require_free(settings.out, video, video)
    complete = settings.input is None or extract_input(settings, checkpoint, folder)
    store = TrackStore(folder)
    clips = clips_of_store(store)
    if settings.input is not None:
        clips = [clip for clip in clips if clip.video in sources]
    if not clips:
        raise UserError(f"{folder}: no tracks to predict from; see the lines above, or --store")
    origins = {}
    for clip in clips:
        place = sources[clip.video].place if sources else None
        origins[clip.id] = origin_of_clip(store, clip, place)
        origins[clip.id].require_free(settings.out, clip.id, clip.video)
    clips = known_people(checkpoint, clips, settings.people_from())
    if lacking := [title_of(name) for name in checkpoint.tasks if name not in checkpoint.learnt]:
        print(f"not learnt, so that these columns mean nothing: {', '.join(lacking)}")
    of = {clip.id: clip for clip in clips}
    for one in predict_clips(checkpoint, store, clips, cache=settings.cache, draws=draws):
        told = with_readings(one, store, of[one.id], settings.cache)
        told = with_baseline(origins[one.id].marked(told), settings.baseline)
        path = write_predictions(told, settings.out, settings.format)
        print(f"{path}: {counted(len(one), 'frame')}, face in {one.face.mean():.0%}")
        print("\n".join(summary_of(told)))
    return OK if complete else FAILED


def origins_of(folder: Path, store: Path) -> dict[str, Origin]:
    """Origin of each source of the input, by its id."""
    hashes = SourceHashes(store / "sources.json")
    return {source.id: origin_of_source(source, hashes) for source in find_sources(folder)}


main = partial(run, PredictSettings, command, prog="fusion.predict", description=__doc__ or "")

if __name__ == "__main__":
    main()
