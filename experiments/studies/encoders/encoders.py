"""`python -m experiments.studies.encoders.encoders`: all encoders and simple baselines, measured
side by side.

Data flow: registry and baselines > those ready > rows (`probe_rows`) > terminal, Markdown and CSV.

    python -m experiments.studies.encoders.encoders --data ../shared/data
    python -m experiments.studies.encoders.encoders --mae.model DIR --only '[mae]' --quick true
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from experiments.studies.encoders.baselines import MiniXception, PatternLda, PixelPca, Spectrum
from experiments.studies.encoders.probe_data import (
    Cache,
    read_actor,
    read_ck,
    read_fer_test,
    read_fer_train,
    read_lfw,
    read_orl,
    read_speech,
    read_yale,
    require,
    split_lfw,
)
from experiments.studies.encoders.probe_rows import FaceSets, Row, audio_row, visual_row
from experiments.studies.encoders.probe_table import (
    STAND_IN,
    compare_identity,
    compare_whisper,
    table,
    write_csv,
)
from features.cli.app import OK, run
from features.encoders.audio.whisper import WhisperSettings
from features.encoders.base import READY
from features.encoders.registry import EncoderSettings, encoder_class, encoder_names
from features.errors import UserError

WHISPER = "encoders/whisper-tiny.en-encoder"
SPECTRA = ("log-mel", "MFCC")
XCEPTION = "encoders/mini-xception/model.safetensors"
FACES = [
    "fer2013/train.npz",
    "fer2013/test.npz",
    *(f"faces/{name}.npz" for name in ("ckplus48", "lfw_expressions", "yale", "orl")),
    "ravdess/faces_actor01.npz",
    XCEPTION,
]
"""Files that visual rows need, looked for before any work."""
QUICK = 8
"""`--quick` takes every eighth picture and clip."""
TIMED_FACES, TIMED_SECONDS = 64, 30


@dataclass
class EncodersSettings(EncoderSettings):
    """Settings of the table.

    Args:
        data: Folder of the shared data.
        out: Where the table goes: this name with `.md` and `.csv`.
        cache: Folder of the features, so that a second or a killed run is quick.
        only: Names of rows; empty: all that are ready.
        fer_train: Pictures of FER2013's training part for its probe; 0: all.
        threads: Threads on the CPU.
        quick: Every eighth picture and clip only: tells that it runs, not how good it is.
    """

    data: Path = Path("../shared/data")
    out: Path = Path("experiments/results/encoders")
    cache: Path = Path("runs/encoders")
    only: list[str] = field(default_factory=list)
    fer_train: int = 10000
    threads: int = 2
    quick: bool = False


Makers = dict[str, Callable[..., Any]]
"""Row's name to what builds its encoder, given `device`."""


def command(settings: EncodersSettings) -> int:
    """Measures, prints and writes the tables."""
    require(settings.data)
    _check_names(settings.only)
    torch.set_num_threads(settings.threads)
    notes: list[str] = []
    visual = visual_rows(settings, notes)
    audio = audio_rows(settings, notes)
    text = "\n\n".join(
        [
            "# Encoders, frozen",
            table(visual),
            *compare_identity(visual),
            table(audio),
            *compare_whisper(audio),
            "\n".join(f"- {note}" for note in notes),
        ]
    )
    print(text)
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    settings.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    write_csv(settings.out.with_suffix(".csv"), visual, audio)
    return OK


def visual_rows(settings: EncodersSettings, notes: list[str]) -> list[Row]:
    """Rows of all visual encoders that are wanted and ready; says in `notes` how it was done."""
    ready = _ready(settings, encoder_names("faces"), notes)
    names = _wanted(settings, [*ready, PixelPca.name, MiniXception.name, STAND_IN])
    if not names:
        return []
    for file in FACES:
        require(settings.data / file)
    cache = Cache(settings.cache)
    sets, strangers = read_faces(settings, cache, notes)
    makers: Makers = {
        **ready,
        PixelPca.name: lambda **_: PixelPca(sets.fer_train),
        MiniXception.name: partial(MiniXception, settings.data / XCEPTION),
        STAND_IN: lambda **_: PatternLda(strangers),
    }
    crops = np.random.default_rng(0).integers(0, 256, (TIMED_FACES, 112, 112, 3), dtype=np.uint8)
    rows = []
    for name in names:
        print(f"{name} ...", flush=True)
        encoder = makers[name](device="cpu")
        row = visual_row(encoder, sets, cache)
        for device, timed in _on_devices(encoder, makers[name]):
            row.speed[device] = speed(partial(timed.encode_faces, crops), TIMED_FACES)
        rows.append(row)
    return rows


def audio_rows(settings: EncodersSettings, notes: list[str]) -> list[Row]:
    """Rows of all audio encoders that are wanted and ready; says in `notes` how it was done."""
    settings = with_whisper(settings)
    spectra: Makers = {name: partial(_spectrum, name) for name in SPECTRA}
    makers = {**_ready(settings, encoder_names("sound"), notes), **spectra}
    names = _wanted(settings, list(makers))
    if not names:
        return []
    speech = read_speech(settings.data, QUICK if settings.quick else 1)
    notes.append(
        f"RAVDESS: {len(speech.paths)} clips, 8 emotions (chance .125), mean and standard"
        " deviation over time, folds of labels.csv (no speaker in two), C chosen inside the"
        " training folds unless stated. Best layers: a hidden state or three in a row joined,"
        " chosen inside the training folds. Last 3 layers: of Whisper tiny's four layers 2, 3 and"
        " the last, for which the shared data's README has .734 ± .041."
    )
    sound = np.concatenate([speech.sound(clip) for clip in range(min(16, len(speech.paths)))])
    sound, cache, rows = sound[: 16000 * TIMED_SECONDS], Cache(settings.cache), []
    for name in names:
        print(f"{name} ...", flush=True)
        encoder = makers[name](device="cpu")
        row = audio_row(name, encoder, speech, cache)
        for device, timed in _on_devices(encoder, makers[name]):
            row.speed[device] = speed(partial(_hear, timed, sound), len(sound) / 16000)
        rows.append(row)
    return rows


def with_whisper(settings: EncodersSettings) -> EncodersSettings:
    """Whisper's encoder from the shared data, unless another was given."""
    folder = settings.data / WHISPER
    if settings.whisper.model == WhisperSettings.model and folder.is_dir():
        changed: Any = settings
        return replace(changed, whisper=replace(settings.whisper, model=str(folder)))
    return settings


def read_faces(settings: EncodersSettings, cache: Cache, notes: list[str]) -> tuple[FaceSets, Any]:
    """The faces of the probes, and those of other people that the identity stand-in learns."""
    data, step = settings.data, QUICK if settings.quick else 1
    print("faces ...", flush=True)
    train, test = read_fer_train(data, settings.fer_train), read_fer_test(data)
    train = train.take(np.arange(0, len(train), step))
    test = test.take(np.arange(0, len(test), step))
    ck, classes = read_ck(data)
    lfw, strangers = split_lfw(read_lfw(data, cache))
    if settings.quick:
        lfw = lfw.take(lfw.people < np.unique(lfw.people)[min(10, len(np.unique(lfw.people)) - 1)])
    yale, orl, actor = read_yale(data, cache), read_orl(data, cache), read_actor(data, cache)
    identities = [lfw, ck, yale, orl]
    people = ", ".join(f"{s.name} {len(np.unique(s.people))}" for s in identities)
    unfound = ", ".join(
        f"{s.name} {int((~np.asarray(s.found)).sum())} of {len(s)}" for s in (lfw, yale, orl, actor)
    )
    notes += [
        f"FER: the encoder's own probabilities; {int((~np.asarray(test.copies)).sum())} of"
        f" {len(test)} test pictures are no copies of training pictures. FER probe: trained on"
        f" {len(train)} training pictures, tested without copies. Errors: over pictures.",
        "CK+: own probabilities, six classes, error by subject. CK+ probe: seven classes (with"
        " contempt), 5 folds by subject. Actor-01 clips: 52 clips of one actor, seven classes"
        " (chance .143), probabilities averaged over 19 frames.",
        "Triplets (chance .333): two test faces of one expression, one of another; unit vectors;"
        " error over five disjoint parts.",
        f"id: identity probe within people, whole sequences held out; persons: {people}; errors"
        " over 5 folds. Lower is better for an encoder of expressions.",
        "FER2013 and CK+ go to grey 48x48 encoders as they are, to others at their place in a crop"
        f" of 112x112 with their edge repeated. Others are aligned; no face found: {unfound}.",
        "MB: weights and buffers as loaded (float32; packaged files are float16). Speed: median of"
        f" 3, one process, {settings.threads} threads; baselines include their own resizing.",
    ]
    return FaceSets(train, test, ck, classes, actor, identities), strangers


def speed(encode: Callable[[], object], amount: float) -> float:
    """Amount per second by the median of three runs after one to warm up."""
    encode()
    times = []
    for _ in range(3):
        start = perf_counter()
        encode()
        times.append(perf_counter() - start)
    return amount / float(np.median(times))


def _ready(settings: EncodersSettings, names: list[str], notes: list[str]) -> Makers:
    """The registry's encoders that are ready; the others are named in `notes`.

    What to do about them is only printed: it may name folders of this machine.
    """
    makers: Makers = {}
    for name in names:
        kind: Any = encoder_class(name)
        status = kind.status(settings.of(name))
        if status == READY:
            makers[name] = partial(kind, settings.of(name))
        elif _wanted(settings, [name]):
            notes.append(f"{name} is left out: {status.word}.")
            print(f"{name}: {status.word}; {status.remedy}", flush=True)
    return makers


def _check_names(names: list[str]) -> None:
    visual = [*encoder_names("faces"), PixelPca.name, MiniXception.name, STAND_IN]
    known = [*visual, *encoder_names("sound"), *SPECTRA]
    for name in names:
        if name not in known:
            raise UserError(f"no row '{name}' for --only; known are {', '.join(known)}")


def _wanted(settings: EncodersSettings, names: list[str]) -> list[str]:
    return [name for name in names if not settings.only or name in settings.only]


def _spectrum(name: str, **_: object) -> Spectrum:
    return Spectrum(name)


def _on_devices(encoder: Any, make: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """The encoder on the CPU, and again on the GPU if there is one."""
    yield "CPU", encoder
    if torch.cuda.is_available():
        yield "GPU", make(device="cuda")


def _hear(encoder: Any, sound: np.ndarray) -> object:
    return encoder.encode_sound([sound])


if __name__ == "__main__":
    run(
        EncodersSettings,
        command,
        prog="experiments.studies.encoders.encoders",
        description=__doc__.split("\n")[0],
    )
