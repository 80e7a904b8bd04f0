"""One row of the encoder table: everything that is measured of one encoder.

Data flow: encoder + `FaceSets` or `SpeechSet` > features (cached) > probes > `Row`.

Letters: N pictures, S clips, T tokens, D feature dimensions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from torch import Tensor, nn

from experiments.studies.encoders.probe_data import Cache, FaceSet, SpeechSet
from experiments.studies.encoders.probes import (
    STRENGTHS,
    Score,
    clustered_score,
    fold_score,
    folds_within,
    grouped_folds,
    probe,
    probe_best,
    transfer_hits,
    triplet_folds,
)
from features.encoders.base import AudioEncoder, VisualEncoder
from features.encoders.visual.expression import FRAMING

STEP = 256
"""Pictures that an encoder is given at a time."""
CROP = 112
RUN = 3
"""Hidden states in a row that are joined."""


@dataclass(frozen=True)
class FaceSets:
    """The faces that visual encoders are judged on.

    Attributes:
        fer_train: FER2013's training pictures, for its probe.
        fer_test: FER2013's test pictures, with `copies`.
        ck: CK+48 with ABAW's labels.
        ck_classes: (N,) CK+'s own seven classes.
        actor: Frames of RAVDESS's Actor 01.
        identities: Sets for the identity probe: LFW, CK+, Yale, ORL.
    """

    fer_train: FaceSet
    fer_test: FaceSet
    ck: FaceSet
    ck_classes: np.ndarray
    actor: FaceSet
    identities: list[FaceSet]


@dataclass
class Row:
    """A row of the table.

    Attributes:
        name: Of the encoder.
        parameters: Count.
        megabytes: Of the parameters and buffers as they are loaded.
        dim: Dimensions of the feature that is probed.
        speed: Pictures, or seconds of sound, per second; by device.
        scores: By column.
        folds: Accuracy of each fold (K,) by column, for paired differences.
    """

    name: str
    parameters: int
    megabytes: float
    dim: int
    speed: dict[str, float] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    folds: dict[str, np.ndarray] = field(default_factory=dict)

    def add_folds(self, column: str, folds: np.ndarray) -> None:
        """Adds a column from the accuracies of folds (K,)."""
        self.folds[column], self.scores[column] = folds, fold_score(folds)


def visual_row(encoder: VisualEncoder, sets: FaceSets, cache: Cache) -> Row:
    """All that is measured of a visual encoder but its speed."""

    def streams(faces: FaceSet) -> dict[str, np.ndarray]:
        key = [encoder.revision, encoder.settings, encoder.streams, faces.key]
        return cache.get(f"{_slug(encoder.name)}-{faces.name}", key, lambda: encode(encoder, faces))

    train, test, ck = streams(sets.fer_train), streams(sets.fer_test), streams(sets.ck)
    name = encoder.name
    row = Row(name, *size_of(encoder), embedding(train, name).shape[1])
    new = ~copies(sets.fer_test)
    if (probs := stream_of(test, ".probs")) is not None:
        _own_guesses(row, sets, probs, ck, streams(sets.actor))
    hits = transfer_hits(
        embedding(train, name), sets.fer_train.labels, embedding(test, name), sets.fer_test.labels
    )
    row.scores["FER probe"] = clustered_score(hits[new], np.flatnonzero(new))
    folds = grouped_folds(sets.ck_classes, sets.ck.people)
    row.add_folds("CK+ probe", probe(embedding(ck, name), sets.ck_classes, folds))
    labels = sets.fer_test.labels[new]
    row.add_folds("triplets", triplet_folds(embedding(test, name)[new], labels))
    if (metric := stream_of(test, ".metric")) is not None:
        row.add_folds("triplets 16-d", triplet_folds(metric[new], labels))
    for faces in sets.identities:
        within = folds_within(faces.people, faces.groups)
        features = embedding(streams(faces), name)
        row.add_folds(f"id {faces.name}", probe(features, faces.people, within, inner=1))
    return row


def audio_row(
    name: str,
    encoder: AudioEncoder,
    speech: SpeechSet,
    cache: Cache,
    strengths: Sequence[float] = STRENGTHS,
) -> Row:
    """RAVDESS's eight emotions from the default stream, and from the best hidden states.

    Args:
        name: Of the row.
        encoder: Its streams are the default; a network's hidden states are taken on the way.
        speech: Clips.
        cache: Keeps the pooled features.
        strengths: Values of C to choose from inside the training folds.
    """
    key = [encoder.revision, encoder.settings, encoder.streams, speech.key]
    kept = cache.get(f"{_slug(name)}-ravdess", key, lambda: pool(encoder, speech))
    row = Row(name, *size_of(encoder), kept["stream"].shape[1])
    row.add_folds("stream", probe(kept["stream"], speech.labels, speech.folds, strengths))
    if "layers" in kept:
        choices = layer_choices(kept["layers"])
        best = probe_best(choices, speech.labels, speech.folds, strengths)
        row.add_folds("best layers", best)
        last = probe(choices[-1], speech.labels, speech.folds, [0.003])
        row.add_folds("last 3 layers, C .003", last)
    return row


def layer_choices(layers: np.ndarray) -> list[np.ndarray]:
    """Features (S, D) to choose from: each hidden state, and each `RUN` in a row joined.

    Args:
        layers: (S, H, 2 D), pooled hidden states from the first layer to the last.
    """
    count = layers.shape[1]
    runs = [layers[:, k : k + RUN].reshape(len(layers), -1) for k in range(max(count - RUN, 0) + 1)]
    return [*(layers[:, k] for k in range(count)), *runs]


def encode(encoder: VisualEncoder, faces: FaceSet) -> dict[str, np.ndarray]:
    """Streams (N, D) of all faces; framed ones by `encode_grey` where the encoder has it."""
    run: Callable[[np.ndarray], dict[str, np.ndarray]] = encoder.encode_faces
    if faces.faces.ndim == 3:
        grey = getattr(encoder, "encode_grey", None)
        run = grey or (lambda part: encoder.encode_faces(as_crops(part)))
    parts = [run(faces.faces[at : at + STEP]) for at in range(0, len(faces), STEP)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def pool(encoder: AudioEncoder, speech: SpeechSet) -> dict[str, np.ndarray]:
    """Mean and standard deviation over time of each clip.

    Clips must be shorter than a chunk of the encoder, so that its network hears each in one piece.

    Returns:
        `stream` (S, 2 D) and, of an encoder whose network has hidden states, `layers` (S, H, 2 D):
        those of its H layers.
    """
    states: list[tuple[Tensor, ...]] = []

    def keep(_module: nn.Module, _inputs: object, output: Any) -> None:
        if getattr(output, "hidden_states", None):
            states.append(output.hidden_states)

    hooks = [module.register_forward_hook(keep) for module in _modules(encoder, set())]
    pooled: dict[str, list[np.ndarray]] = {"stream": [], "layers": []}
    for clip in range(len(speech.paths)):
        states.clear()
        tokens = np.hstack(list(encoder.encode_sound([speech.sound(clip)]).values.values()))
        pooled["stream"].append(_moments(tokens))
        if states:
            layers = [state[0, : len(tokens)].cpu().numpy() for state in states[0][1:]]
            pooled["layers"].append(np.stack([_moments(layer) for layer in layers]))
    for hook in hooks:
        hook.remove()
    return {name: np.stack(rows) for name, rows in pooled.items() if rows}


def _moments(tokens: np.ndarray) -> np.ndarray:
    """(T, D) to mean and standard deviation, (2 D,)."""
    return np.concatenate([tokens.mean(0), tokens.std(0)])


def as_crops(framed: np.ndarray) -> np.ndarray:
    """Pictures framed as FER2013's (N, 48, 48), at their place in crops (N, 112, 112, 3).

    What lies around them is their edge, repeated.
    """
    left, top, right, bottom = np.round(np.multiply(FRAMING, CROP)).astype(int)
    crops = np.zeros((len(framed), CROP, CROP, 3), np.uint8)
    for crop, face in zip(crops, framed, strict=True):
        large = cv2.resize(face, (right - left, bottom - top), interpolation=cv2.INTER_CUBIC)
        around = top, CROP - bottom, left, CROP - right
        crop[:] = cv2.copyMakeBorder(large, *around, cv2.BORDER_REPLICATE)[..., None]
    return crops


def embedding(streams: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The stream of the encoder's name; without one, all but probabilities and metric, joined."""
    if name in streams:
        return streams[name]
    wanted = [v for k, v in streams.items() if not k.endswith((".probs", ".metric"))]
    return np.hstack(wanted)


def stream_of(streams: dict[str, np.ndarray], ending: str) -> np.ndarray | None:
    """The stream whose name ends so, if there is one."""
    return next((v for k, v in streams.items() if k.endswith(ending)), None)


def copies(faces: FaceSet) -> np.ndarray:
    """(N,) whether a test picture is also a training picture."""
    return np.zeros(len(faces), bool) if faces.copies is None else faces.copies


def size_of(encoder: Any) -> tuple[int, float]:
    """Parameters, and MB of all weights as loaded; a baseline may state `parameters` itself."""
    if stated := getattr(encoder, "parameters", 0):
        return stated, stated * 4 / 1e6
    modules = _modules(encoder, set())
    weights = {id(p): p for m in modules for p in m.parameters()}
    buffers = {id(b): b for m in modules for b in m.buffers()}
    count = sum(p.numel() for p in weights.values())
    size = sum(t.numel() * t.element_size() for t in (weights | buffers).values())
    return count, size / 1e6


def _own_guesses(
    row: Row,
    sets: FaceSets,
    probs: np.ndarray,
    ck: dict[str, np.ndarray],
    actor: dict[str, np.ndarray],
) -> None:
    """Accuracies of the encoder's own probabilities."""
    test, new = sets.fer_test, ~copies(sets.fer_test)
    hits = probs[:, :7].argmax(1) == test.labels
    row.scores["FER"] = clustered_score(hits, np.arange(len(hits)))
    row.scores["FER no copies"] = clustered_score(hits[new], np.flatnonzero(new))
    known, guesses = sets.ck.labels >= 0, stream_of(ck, ".probs")
    if guesses is not None:
        right = guesses[:, :7].argmax(1) == sets.ck.labels
        row.scores["CK+"] = clustered_score(right[known], sets.ck.people[known])
    if (frames := stream_of(actor, ".probs")) is not None:
        clips = np.unique(sets.actor.groups)
        means = np.stack([frames[sets.actor.groups == c, :7].mean(0) for c in clips])
        truth = np.array([sets.actor.labels[sets.actor.groups == c][0] for c in clips])
        row.scores["Actor-01 clips"] = clustered_score(means.argmax(1) == truth, clips)


def _modules(thing: Any, seen: set[int]) -> list[nn.Module]:
    """Networks among the attributes of an encoder and of what it wraps."""
    if id(thing) in seen:
        return []
    seen.add(id(thing))
    if isinstance(thing, nn.Module):
        return [thing]
    if not type(thing).__module__.startswith(("features.", "experiments.")):
        return []
    return [module for value in vars(thing).values() for module in _modules(value, seen)]


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
