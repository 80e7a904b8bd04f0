"""What predictions have been learnt from, as far as checkpoints and encoders tell.

Data flow: Checkpoint, or provenance of FramePredictions > Sources > `fusion.abaw.rules`.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from features.store.fingerprint import weights_hash
from fusion.abaw.rules import Source
from fusion.data.seen import LEARNT, chosen_by, in_order, said_of

if TYPE_CHECKING:
    from fusion.inference.checkpoint import Checkpoint

STREAM = "stream "
"""Before a stream's name in the provenance of predictions; the value is `ENCODER REVISION`."""
CHECKPOINT = "checkpoint"
"""Key of a checkpoint's revision; those of an ensemble have a number after it."""
CORPUS, LABELS, CHOSEN = "corpus", "tasks", "chosen"
"""Keys of the data and the labels that it was trained on, and chosen by, numbered likewise."""
JOINED = " + "
"""Between the names of several corpora."""


def sources_of_checkpoint(checkpoint: "Checkpoint") -> list[Source]:
    """The model itself, and the encoder of each of its streams."""
    origin = checkpoint.provenance
    models = _models(
        f"model {checkpoint.path}",
        str(origin.get("corpus", "")).split(JOINED),
        _named(origin["tasks"]) if "tasks" in origin else None,
        _named(chosen_by(origin)),
        _named(checkpoint.learnt) if LEARNT in origin else None,
    )
    specs = checkpoint.specs.items()
    return [*models, *(_stream(name, spec.encoder, spec.revision) for name, spec in specs)]


def sources_of_predictions(
    provenances: Iterable[Mapping[str, str]], checkpoint: Path, held: Collection[str] = ()
) -> list[Source]:
    """Models and encoders that stored predictions name.

    Args:
        provenances: `FramePredictions.provenance` of each id.
        checkpoint: May be the file that made them, which then speaks for itself.
        held: Tasks of which all of them say something, if known: no other counts as learnt, and
            where they do not tell what has been learnt, these do.
    """
    provenances = list(provenances)
    entries = {entry for one in provenances for entry in one.items()}
    revisions = {value for key, value in entries if key.startswith(CHECKPOINT)}
    if checkpoint.is_file() and revisions == {weights_hash(checkpoint)}:
        from fusion.inference.checkpoint import load_checkpoint

        return sources_of_checkpoint(load_checkpoint(checkpoint, "cpu"))
    streams = [
        _stream(key.removeprefix(STREAM), *value.rpartition(" ")[::2])
        for key, value in sorted(entries)
        if key.startswith(STREAM)
    ]
    corpora = [v for key, values in entries if key.startswith(CORPUS) for v in values.split(JOINED)]
    what = f"model {', '.join(sorted(revisions))}" if revisions else "the model"
    told = [found for one in provenances if (found := said_of(one, LEARNT)) is not None]
    learnt = {task for found in told for task in found} if told else set(held)
    learnt &= set(held or learnt)
    return [
        *_models(
            what,
            corpora,
            _named(_words(entries, LABELS)) or None,
            _named(_words(entries, CHOSEN)),
            _named(learnt) if told or held else None,
        ),
        *streams,
    ]


def _words(entries: Iterable[tuple[str, str]], kind: str) -> set[str]:
    """All words under a key, numbered or not."""
    return {word for key, value in entries if key.startswith(kind) for word in value.split()}


def _named(tasks: Iterable[str]) -> tuple[str, ...]:
    """Tasks as sources name them: each once, in capitals."""
    return tuple(task.upper() for task in in_order({task.lower() for task in tasks}))


def _models(
    what: str,
    corpora: Iterable[str],
    tasks: tuple[str, ...] | None,
    chosen: tuple[str, ...],
    learnt: tuple[str, ...] | None,
) -> list[Source]:
    """All models together, once for each corpus, with all labels that any of them has seen."""
    known = sorted(set(filter(None, corpora)))
    if not known:
        return [Source(what, None, tasks, chosen=chosen, learnt=learnt)]
    return [Source(what, corpus, tasks, True, chosen, learnt) for corpus in known]


def _stream(name: str, encoder: str, revision: str) -> Source:
    return Source(f"stream {name} ({encoder})", trained_on(encoder, revision))


def trained_on(encoder: str, revision: str) -> str | None:
    """What an encoder's weights have seen; None unless these very weights are at hand."""
    from features.encoders.base import READY
    from features.encoders.registry import (
        ENCODERS,
        EncoderSettings,
        describe_encoder,
        encoder_class,
    )

    settings = EncoderSettings(device="cpu")
    known = encoder in ENCODERS
    if not known or encoder_class(encoder).status(settings.of(encoder)) != READY:
        return None
    built = describe_encoder(encoder, settings)
    return str(built.trained_on) if built.revision == revision else None
