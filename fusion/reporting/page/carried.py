"""Which streams carried a result: face, sound, both or neither, in a sentence for the page.

Data flow: provenance of predictions (streams of the model) + face seen + loudness > sentence.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from features.encoders.registry import ENCODERS, encoder_class
from fusion.data.predictions import FramePredictions
from fusion.reporting.timeline import Envelope

STREAM = "stream "
"""What keys of the provenance begin with that name a stream of the model."""
SILENT_DB = -90.0
"""Sound that is nowhere louder says nothing."""


def senses_of(provenance: Mapping[str, str]) -> set[str]:
    """What the model reads, `face` and `sound`; `other` for what is not known."""
    found = set[str]()
    for key, value in provenance.items():
        if key.startswith(STREAM):
            name = value.split(" ")[0]
            kind = encoder_class(name) if name in ENCODERS else None
            looks, hears = hasattr(kind, "encode_faces"), hasattr(kind, "encode_sound")
            found.add("face" if looks else "sound" if hears else "other")
    return found


def carried_by(people: Sequence[FramePredictions], sound: Envelope | None, heard: bool) -> str:
    """The sentence.

    Args:
        people: All of one video.
        sound: Its loudness, None without sound.
        heard: Whether anybody looked for sound; if not, nothing is known of it.
    """
    senses = set[str]().union(*(senses_of(one.provenance) for one in people))
    if not senses:
        return "The files do not say which streams the model read."
    seen = float(np.mean([one.face.mean() for one in people if len(one)] or [0.0]))
    loud = sound is not None and float(sound.level.max(initial=-np.inf)) > SILENT_DB
    face = "face" in senses and seen > 0
    voice = "sound" in senses and (loud or not heard)
    share = f"a face was seen in {100 * seen:.0f} % of the frames"
    if face and voice:
        return f"Carried by both: {share}, and the sound was heard."
    if face:
        return f"Carried by the face alone: {share}; {_no_sound('sound' in senses, sound)}."
    if voice:
        no = "no face was seen" if "face" in senses else "the model reads no faces"
        return f"Carried by the sound alone: {no}."
    if "other" in senses:
        return "Carried by other streams than face and sound."
    return "Carried by nothing: no face was seen and no sound heard, so the curves say nothing."


def _no_sound(listens: bool, sound: Envelope | None) -> str:
    if not listens:
        return "the model does not listen"
    return "the clip has no sound" if sound is None else "the sound is silent"
