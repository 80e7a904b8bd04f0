"""The corpus of the packaged model: faces without voices, voices without faces, pairs by label.

Data flow: `faces.Stills` and the voices' corpus > films of faces; voices; each voice with the face
of somebody else who shows the same; faces beside sound that is no voice > labels.csv and tracks, as
`fusion.train` takes them.

    python -m experiments.pretraining.base.corpus --data DIR --voices VOICES --out OUT

No labelled film of faces and voices of the same people is used: RAVDESS's actor 01 is kept for the
test. Held out for validation: the voices' own held-out speakers and FER2013's calibration pictures;
a pair is held out if its voice is, and then its face is a held-out one too.

Letters: F frames.
"""

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from experiments.kept import Cache
from experiments.pretraining.base.faces import EXPRESSIONS, Stills, film, read_stills
from features.cli.app import OK, run
from features.encoders.base import Description
from features.encoders.visual.face.encoder import FaceEncoder, FaceEncoderSettings
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, extract
from features.faces.detect import FaceSettings
from features.media import Arrays
from features.pipeline.discovery import Source
from features.pipeline.planner import Planner, TrackSettings
from features.pipeline.source_hashes import SourceHashes
from features.store.atomic_file import write_atomically
from features.store.feature_track import MAIN, FeatureTrack, TrackInfo
from features.store.track_store import TrackStore
from fusion.streams.clip_tracks import SOUND_RATE, read_clock

PAIRS = 2
"""Faces that each voice is put together with."""
FRAMES = (25, 75)
"""Shortest and longest film of a face alone."""
BESIDE_NOISE = 0.3
"""Share of the films of faces that are beside sound that is no voice."""
HIDDEN = 0.25
"""Share of the films of which a part of the frames has no face."""
AGREED, BLANK = 0.5, 0.25
"""Shares of the pairs in which face and voice show the same, and in which the voice is right and
the face is neutral or shows anything; in the others the face is right and the voice is any. An
assumption, not a measurement: with pairs that always agree the model believes the face alone, since
its stills are clear and the encoder was trained on them; with voices that are always right it
believes a voice that it cannot know, for recordings of other rooms tell it little
(experiments/results/voice.md)."""
SHIFT = 0.2
"""Most seconds that a face is ahead of, or behind, the voice that it is put together with."""
NOISES = 24
RATE = 16000
COLUMNS = ("id", "split", "person", "expression", "value_vocal_arousal")
STREAM = "face"


@dataclass
class BaseCorpus:
    """Settings of the corpus.

    Args:
        data: Folder of the shared data.
        voices: Folder that `experiments.pretraining.base.voices` made.
        out: Folder of the corpus.
        streams: Of sound, that the voices have.
        cache: Folder for what takes long to read.
        seed: Of what is drawn.
    """

    data: Path
    voices: Path
    out: Path
    streams: list[str] = field(default_factory=lambda: ["wav2vec2", "prosody"])
    cache: Path = Path("runs/base/cache")
    seed: int = 1


@dataclass(frozen=True)
class Item:
    """A clip of the corpus.

    Attributes:
        id, split, person: As in labels.csv.
        expression: Of `EXPRESSIONS`, or empty.
        arousal: Cell of labels.csv.
        sound: Id of its sound among those of `sounds`; empty: none.
        face: (F, D) film; None: none.
    """

    id: str
    split: str
    person: str
    expression: str
    arousal: str = ""
    sound: str = ""
    face: np.ndarray | None = None

    @property
    def row(self) -> list[str]:
        """Its cells of labels.csv."""
        return [self.id, self.split, self.person, self.expression, self.arousal]


def make(settings: BaseCorpus) -> int:
    """Writes the tracks, then the table, so that a table without its tracks is never there."""
    stills = read_stills(settings.data, Cache(settings.cache), settings.seed)
    sounds = [settings.voices / "tracks", noises(settings.out / "noise", settings)]
    rng = np.random.default_rng(settings.seed)
    voices = read_voices(settings.voices)
    heard = [*alone(voices), *pairs(voices, stills, TrackStore(sounds[0]), settings, rng)]
    writer = Writer(settings, sounds)
    text, counts = io.StringIO(), {"train": 0, "validation": 0}
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for item in (*heard, *films(stills, TrackStore(sounds[1]), settings, rng)):
        writer.write(item)
        table.writerow(item.row)
        counts[item.split] += 1
    write_atomically(settings.out / "labels.csv", text.getvalue().encode())
    print(f"{settings.out}: {counts['train']} clips to train on, {counts['validation']} held out")
    return OK


def read_voices(root: Path) -> list[dict[str, str]]:
    """Rows of the voices' labels.csv.

    Raises:
        UserError: If there is none.
    """
    path = root / "labels.csv"
    if not path.is_file():
        raise UserError(f"{path}: absent; run python -m experiments.pretraining.base.voices")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def alone(voices: list[dict[str, str]]) -> Iterator[Item]:
    """Voices without faces."""
    for row in voices:
        yield spoken(row, row["id"])


def pairs(
    voices: list[dict[str, str]],
    stills: Stills,
    store: TrackStore,
    settings: BaseCorpus,
    rng: np.random.Generator,
) -> Iterator[Item]:
    """Each voice whose expression is known with faces of others, most of whom show it."""
    for row in voices:
        if not row["expression"]:
            continue
        held, said = row["split"] == "validation", EXPRESSIONS.index(row["expression"])
        times, _ = read_clock(store.path(settings.streams[0], row["id"]))
        frames = max(int(times[-1] * SOUND_RATE), 1)
        for number in range(PAIRS):
            face, meant = shown(said, rng)
            views = stills.views[rng.choice(stills.of(face, held_out=held))]
            told = row | {"expression": EXPRESSIONS[meant]}
            yield spoken(told, f"pair{number}_{row['id']}", film(views, frames, rng))


def shown(said: int, rng: np.random.Generator) -> tuple[int, int]:
    """What the face beside a voice that says `said` shows, and what the two are labelled as."""
    chance, neutral = rng.random(), EXPRESSIONS.index("Neutral")
    if chance < AGREED:
        return said, said
    anything = int(rng.integers(len(EXPRESSIONS) - 1))  # Other comes last and is hardly there
    if chance < AGREED + BLANK:
        return (neutral if rng.random() < 0.5 else anything), said
    return anything, anything


def spoken(row: dict[str, str], name: str, face: np.ndarray | None = None) -> Item:
    """An item of a voice, given by its row of the voices' table."""
    own = row["split"], row["person"], row["expression"], row["value_vocal_arousal"]
    return Item(name, *own, sound=row["id"], face=face)


def films(
    stills: Stills, noise: TrackStore, settings: BaseCorpus, rng: np.random.Generator
) -> Iterator[Item]:
    """Each still as a film, some of them beside sound that is no voice."""
    sounds = noise.ids(settings.streams[0])
    for number, (views, label) in enumerate(zip(stills.views, stills.label, strict=True)):
        split = "validation" if stills.held_out[number] else "train"
        rows = film(views, int(rng.integers(*FRAMES)), rng)
        sound = str(rng.choice(sounds)) if rng.random() < BESIDE_NOISE else ""
        name = f"face_{number:05d}"
        yield Item(name, split, name, EXPRESSIONS[label], sound=sound, face=rows)


def noises(folder: Path, settings: BaseCorpus) -> Path:
    """Sounds without a voice, made here, and their tracks: silence, noise, hum, chords."""
    rng, folder_of_sound = np.random.default_rng(settings.seed), folder / "sound"
    folder_of_sound.mkdir(parents=True, exist_ok=True)
    time = np.arange(4 * RATE) / RATE
    for number in range(NOISES):
        level = 10 ** rng.uniform(-4, -0.7)
        white = rng.standard_normal(len(time))
        tones = rng.choice([50.0, 110.0, 220.0, 277.2, 329.6, 440.0], 3, replace=False)
        slow = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.2, 4) * time)
        sound = (
            np.zeros_like(time),
            white / 3,
            np.cumsum(white - white.mean()) / 150,
            sum(np.sin(2 * np.pi * tone * time) for tone in tones) / 3 * slow,
        )[number % 4]
        samples = np.clip(sound * level, -1, 1)
        soundfile.write(folder_of_sound / f"noise_{number:02d}.wav", samples, RATE)
    source = SourceSettings(root=folder_of_sound, store=folder / "tracks")
    extract(ExtractSettings(data=source, encoders=settings.streams, workers="0"))
    return folder / "tracks"


class Writer:
    """Writes the tracks of items.

    Args:
        settings: Where to, and which streams of sound.
        sounds: Stores in which an item's sound may lie.
    """

    def __init__(self, settings: BaseCorpus, sounds: list[Path]) -> None:
        self.settings, self.rng = settings, np.random.default_rng(settings.seed + 1)
        self.store, self.sounds = TrackStore(settings.out / "tracks"), sounds
        self.description = FaceEncoder.describe(FaceEncoderSettings())
        self.hash = settings_of_real_faces(self.store, self.description)

    def write(self, item: Item) -> None:
        """The item's tracks: its sound's are links, its face's is made."""
        for stream in self.settings.streams if item.sound else ():
            found = [root / stream / f"{item.sound}.safetensors" for root in self.sounds]
            link = self.store.path(stream, item.id)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            os.link(next(path for path in found if path.is_file()), link)
        if item.face is not None:
            self.store.write(self._track(item.id, item.face, shifted=bool(item.sound)))

    def _track(self, name: str, rows: np.ndarray, *, shifted: bool) -> FeatureTrack:
        """A film as the track of a clip's face, some of its frames hidden."""
        valid, frames = np.ones(len(rows), bool), len(rows)
        if self.rng.random() < HIDDEN:
            first, length = self.rng.integers(frames), int(self.rng.integers(1, frames // 2 + 2))
            valid[first : first + length] = False
        start = self.rng.uniform(0, SHIFT) if shifted else 0.0
        times = start + np.arange(frames) / SOUND_RATE
        info = TrackInfo(
            video=name,
            person=MAIN,
            stream=STREAM,
            encoder=self.description.name,
            revision=self.description.revision,
            settings=self.hash,
            source="0" * 64,
            frames=frames,
        )
        return FeatureTrack(
            np.where(valid[:, None], rows, 0).astype(np.float16), times, valid, info
        )


def settings_of_real_faces(store: TrackStore, description: Description) -> str:
    """Hash of the settings that a video's track has, which those of stills are to stand for."""
    hashes = SourceHashes(store.root / "sources.json")
    planner = Planner(
        store, hashes, TrackSettings(FaceSettings(), None, "2", "pyav"), [description]
    )
    black = Source("black", None, {}, arrays=Arrays([np.zeros((8, 8, 3), np.uint8)], [0.0]))
    return planner.info(black, MAIN, STREAM, description).settings


main = partial(
    run, BaseCorpus, make, prog="experiments.pretraining.base.corpus", description=__doc__ or ""
)

if __name__ == "__main__":
    main()
