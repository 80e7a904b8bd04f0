"""`python -m experiments.studies.ravdess.ravdess`: eight emotions of RAVDESS from sound, action
units, and both.

Data flow: folder > corpus and what encoders heard (`ravdess_data`) > rows (`ravdess_streams`) >
members of all splits and seeds (`ravdess_systems`), each kept on disk > a page (`ravdess_table`).

    python -m experiments.studies.ravdess.ravdess --train DIR --whisper ENCODER
    python -m experiments.studies.ravdess.ravdess --train DIR --test OTHER

Without --test, each fold of actors is held out in turn; with it, all of --train is learnt and
another folder's actors are told. A killed run goes on where it was.

Letters: n test clips, K emotions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache as once
from functools import partial
from pathlib import Path

import numpy as np
import torch

from experiments.kept import Cache
from experiments.studies.ravdess.data import Corpus, hear, make_encoders, read_corpus
from experiments.studies.ravdess.model import ClipSettings
from experiments.studies.ravdess.streams import Rows, adapted, joined, make_rows
from experiments.studies.ravdess.systems import ALL, DISTILLED, PROGRESSIVE, Trainer
from experiments.studies.ravdess.table import Split, page
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.store.atomic_file import write_atomically
from features.store.fingerprint import settings_hash
from fusion.streams.adaptation import Kind

SEEDLESS = ("constant", "lr-", "ld-")
"""How the names of members begin that no seed changes."""
VERSION = 1
"""To be raised when code changes what members say."""


@dataclass
class RavdessSettings:
    """Settings of the comparison.

    Args:
        train: Folder with audio/, labels.csv and openface_au_clipmean.csv.
        test: Folder of the same layout with other actors; without it, folds of --train.
        whisper: Folder of Whisper's encoder; without it, sound is heard by wav2vec2 only.
        out: Folder of what was heard and said; a second run goes on from there.
        page: Markdown file to write.
        seeds: Seeds of each clip model.
        epochs: Passes of each clip model over its training clips.
        adapt: Kinds of adaptation to compare.
        threads: Threads on the CPU.
    """

    train: Path
    test: Path | None = None
    whisper: Path | None = None
    out: Path = Path("runs/ravdess")
    page: Path = Path("runs/ravdess/ravdess.md")
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3])
    epochs: int = ClipSettings.epochs
    adapt: list[Kind] = field(default_factory=lambda: ["none", "person", "causal"])
    threads: int = 1


def command(settings: RavdessSettings) -> int:
    """Hears, trains, tells and writes the page."""
    if not settings.seeds or settings.epochs < 1:
        raise UserError("--seeds must name at least one seed, and --epochs must be at least 1")
    torch.set_num_threads(settings.threads)
    train, test = read_folders(settings)
    encoders = make_encoders(settings.whisper)
    corpora = [train] if test is None else [train, test]
    folder = settings.out / "heard"
    rows = [
        make_rows(corpus, {name: hear(corpus, one, folder) for name, one in encoders.items()})
        for corpus in corpora
    ]
    splits = make_splits(train, test)
    key = [VERSION, settings.epochs, settings.seeds, [_content(one) for one in rows]]
    cache = Cache(settings.out / "said" / settings_hash(key))
    said = {kind: say_all(joined(rows), splits, kind, settings, cache) for kind in settings.adapt}
    text = page(said, splits, list(encoders), settings.seeds, _command_line(settings))
    print(text)
    settings.page.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(settings.page, text.encode())
    return OK


def read_folders(settings: RavdessSettings) -> tuple[Corpus, Corpus | None]:
    """Both folders' tables; UserError if they share actors, or there are no folds to hold out."""
    train = read_corpus(settings.train)
    if settings.test is None:
        if len(np.unique(train.folds)) < 2 or (train.folds < 0).any():
            raise UserError(
                f"{settings.train / 'labels.csv'}: needs a column `fold` with two folds or more;"
                " add it, or give other actors by --test DIR"
            )
        return train, None
    test = read_corpus(settings.test)
    if both := sorted(set(train.actors) & set(test.actors)):
        raise UserError(f"{settings.test}: actor {both[0]} is in --train too; remove one of them")
    return train, test


def make_splits(train: Corpus, test: Corpus | None) -> list[Split]:
    """Training and test clips of each split: one a fold, or one for both folders."""
    labels = np.concatenate([train.labels, test.labels]) if test else train.labels
    if test is not None:
        held = np.arange(len(labels)) >= len(train.labels)
        return [Split("test", ~held, held, labels[held])]
    return [
        Split(f"fold {fold}", train.folds != fold, train.folds == fold, labels[train.folds == fold])
        for fold in np.unique(train.folds)
    ]


def say_all(
    rows: Rows, splits: list[Split], kind: Kind, settings: RavdessSettings, cache: Cache
) -> dict[tuple[str, str, int], np.ndarray]:
    """Log-probabilities (n, K) by member, split and seed; what was said before is read."""
    members = list(dict.fromkeys(name for system in ALL[kind] for name in system.members))
    members.sort(key=(DISTILLED, PROGRESSIVE).__contains__)  # they use what others have trained
    said = {}
    with ProgressReport(f"adapt {kind}", len(splits) * len(members) * len(settings.seeds)) as bar:
        for split in splits:
            trainer = once(partial(make_trainer, rows, split, kind, settings))
            for seed in settings.seeds:
                for name in members:
                    fixed = settings.seeds[0] if name.startswith(SEEDLESS) else seed
                    at = [kind, split.name, name, fixed]
                    file = "-".join(map(str, at)).replace(" ", "")
                    kept = cache.get(file, at, partial(_say, trainer, name, fixed))
                    said[name, split.name, seed] = kept["scores"]
                    bar.step(f"{split.name} {name} {seed}")
    return said


def make_trainer(rows: Rows, split: Split, kind: Kind, settings: RavdessSettings) -> Trainer:
    """What trains the members of a split."""
    scaled = adapted(rows, kind, split.train)
    whole = replace(ClipSettings(()), epochs=settings.epochs)
    return Trainer(scaled.take(split.train), scaled.take(split.test), settings.seeds, whole)


def _say(trainer: Callable[[], Trainer], member: str, seed: int) -> dict[str, np.ndarray]:
    """A member's scores, as they are kept; a split's clips are adapted only if one is lacking."""
    return {"scores": trainer().scores(member, seed)}


def _content(rows: Rows) -> list[object]:
    """What tells corpora apart."""
    sums = [float(np.abs(x).sum()) for x in (*rows.moments.values(), *rows.parts.values())]
    return [len(rows), rows.labels.tolist(), rows.people.tolist(), rows.folds.tolist(), sums]


def _command_line(settings: RavdessSettings) -> str:
    """The command, without this machine's folders."""
    test = " --test OTHER" if settings.test else ""
    whisper = " --whisper ENCODER" if settings.whisper else ""
    epochs = f" --epochs {settings.epochs}" if settings.epochs != RavdessSettings.epochs else ""
    return f"python -m experiments.studies.ravdess.ravdess --train DIR{test}{whisper}{epochs}"


if __name__ == "__main__":
    run(
        RavdessSettings,
        command,
        prog="experiments.studies.ravdess.ravdess",
        description=__doc__.split("\n")[0],
    )
