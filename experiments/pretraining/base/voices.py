"""Acted voices of several corpora as one corpus that `fusion.train` can take.

Data flow: RAVDESS and the emotional corpora of `speech` > `Voice`s, whose ids begin with their
corpus > `OUT/labels.csv` and links to their sounds > `features.extract` > `OUT/tracks`.

    python -m experiments.pretraining.base.voices --data DIR --out OUT

RAVDESS's actor 01 is the audio-visual test and is never in it. Speakers are apart: RAVDESS's actors
02 to 04, and the speakers whom `speech.csv` holds out (so the packaged wav2vec2 was not trained on
them either), are for validation. EmoDB's clips are filled up with silence to 2 s, which tells how
long they were: theirs are copies without it, all others are links.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import soundfile

from experiments.pretraining.distil_data import RATE, without_padding
from experiments.pretraining.probe_data import require
from features.cli.app import FAILED, OK, run
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, extract
from features.store.atomic_file import replacing, write_atomically

CORPORA = ("ravdess", "emodb", "nemo", "urdu")
"""Corpora of voices with an emotion."""
TEST_ACTOR = "01"
"""RAVDESS's actor on whose videos the packaged model is tested."""
HELD_OUT = ("02", "03", "04")
"""RAVDESS's actors for validation."""
EXPRESSIONS = {
    "neutral": "Neutral",
    "angry": "Anger",
    "anger": "Anger",
    "disgust": "Disgust",
    "fearful": "Fear",
    "fear": "Fear",
    "happy": "Happiness",
    "happiness": "Happiness",
    "sad": "Sadness",
    "sadness": "Sadness",
    "surprised": "Surprise",
    "surprise": "Surprise",
}
"""Words of the corpora to ABAW's names; those that are not here (calm, boredom) have none."""
COLUMNS = ("id", "split", "person", "expression", "value_vocal_arousal")


@dataclass(frozen=True)
class Voice:
    """One clip.

    Attributes:
        id: Unique over corpora: the corpus, `_`, the stem of the file.
        corpus: One of `CORPORA`.
        person: Unique over corpora, too.
        split: `train` or `validation`.
        emotion: The corpus's own word.
        expression: ABAW's name; empty if there is none.
        arousal: 1 strong, 0 normal; None where nobody said.
        sound: The file.
    """

    id: str
    corpus: str
    person: str
    split: str
    emotion: str
    expression: str
    arousal: float | None
    sound: Path

    @property
    def row(self) -> list[str]:
        """Its cells of labels.csv."""
        arousal = "" if self.arousal is None else f"{self.arousal:g}"
        return [self.id, self.split, self.person, self.expression, arousal]


def read_voices(data: Path, corpora: Sequence[str] = CORPORA) -> list[Voice]:
    """The clips of some corpora, without RAVDESS's actor 01.

    Raises:
        UserError: For an unknown corpus, or a table or sound that is absent.
    """
    if unknown := set(corpora) - set(CORPORA):
        raise UserError(f"unknown corpus {sorted(unknown)[0]}; known are {', '.join(CORPORA)}")
    voices = _ravdess(data / "ravdess") if "ravdess" in corpora else []
    voices += _speech(data / "speech", corpora) if set(corpora) - {"ravdess"} else []
    assert not any(v.person == f"ravdess_{TEST_ACTOR}" for v in voices)
    assert not any(v.corpus == "ravdess" and v.id.endswith(f"-{TEST_ACTOR}") for v in voices)
    assert len({voice.id for voice in voices}) == len(voices)
    return voices


def write_voices(data: Path, out: Path, corpora: Sequence[str] = CORPORA) -> list[Voice]:
    """Writes `labels.csv` and the sounds of a corpus, as fusion/corpora/README.md has it.

    Args:
        data: Folder of the shared data.
        out: Folder to write to; what is there already is left, or replaced if it differs.
        corpora: Of `CORPORA`.

    Returns:
        What was written, in the order of the table.

    Raises:
        UserError: As `read_voices`.
    """
    voices = read_voices(data, corpora)
    for voice in voices:
        _place(voice, out / voice.corpus)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *(v.row for v in voices)])
    write_atomically(out / "labels.csv", text.getvalue().encode())
    return voices


def _ravdess(root: Path) -> list[Voice]:
    return [
        Voice(
            id=f"ravdess_{row['clip']}",
            corpus="ravdess",
            person=f"ravdess_{row['actor']}",
            split="validation" if row["actor"] in HELD_OUT else "train",
            emotion=row["emotion"],
            expression=EXPRESSIONS.get(row["emotion"], ""),
            arousal=float(row["intensity"] == "strong" and row["emotion"] != "calm"),
            sound=require(root / "audio" / f"Actor_{row['actor']}" / f"{row['clip']}.flac"),
        )
        for row in _rows(root / "labels.csv")
        if row["actor"] != TEST_ACTOR
    ]


def _speech(root: Path, corpora: Sequence[str]) -> list[Voice]:
    return [
        Voice(
            id=f"{row['corpus']}_{Path(row['file']).stem}",
            corpus=row["corpus"],
            person=f"{row['corpus']}_{row['speaker']}",
            split="validation" if row["split"] == "valid" else "train",
            emotion=row["emotion"],
            expression=EXPRESSIONS.get(row["emotion"], ""),
            arousal=None,
            sound=require(root / row["file"]),
        )
        for row in _rows(root / "speech.csv")
        if row["corpus"] in corpora
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with require(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _place(voice: Voice, folder: Path) -> None:
    """A link to the sound, or of EmoDB a copy without the padding."""
    folder.mkdir(parents=True, exist_ok=True)
    if voice.corpus != "emodb":
        link = folder / f"{voice.id}{voice.sound.suffix}"
        if not link.is_symlink() or link.readlink() != voice.sound.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(voice.sound.resolve())
    elif not (copy := folder / f"{voice.id}.flac").is_file():
        sound, rate = soundfile.read(voice.sound, dtype="float32")
        with replacing(copy) as file:
            soundfile.write(file, without_padding(sound), rate, format="FLAC")


@dataclass
class Voices:
    """Settings of the corpus of voices.

    Args:
        data: Folder of the shared data.
        out: Folder of the corpus.
        corpora: Which.
        encoders: Whose tracks are extracted; none: only the corpus is written.
    """

    data: Path
    out: Path
    corpora: list[str] = field(default_factory=lambda: list(CORPORA))
    encoders: list[str] = field(default_factory=lambda: ["wav2vec2", "prosody"])


def make(settings: Voices) -> int:
    """Writes the corpus and extracts its tracks, those that are missing."""
    voices = write_voices(settings.data, settings.out, settings.corpora)
    print(f"{settings.out / 'labels.csv'}: {len(voices)} voices at {RATE} Hz")
    if not settings.encoders:
        return OK
    source = SourceSettings(root=settings.out)
    summary = extract(ExtractSettings(data=source, encoders=settings.encoders, workers="1"))
    print(summary)
    return OK if summary.complete else FAILED


main = partial(
    run, Voices, make, prog="experiments.pretraining.base.voices", description=__doc__ or ""
)

if __name__ == "__main__":
    main()
