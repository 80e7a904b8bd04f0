"""Where expressions lie on valence and arousal, from published ratings of emotion words.

Data flow: probabilities of expressions (F, 8) > mean of their places, weighted by them > measure
`va`. It is derived, not learnt: what it is worth against a trained head is not known here, and its
columns say so.

Letters: F frames.
"""

import numpy as np

from fusion.tasks.measuring.measures import Column, Measure

PLACES = {
    "Neutral": (0.0, 0.0),
    "Anger": (-0.51, 0.59),
    "Disgust": (-0.60, 0.35),
    "Fear": (-0.64, 0.60),
    "Happiness": (0.76, 0.48),
    "Sadness": (-0.63, -0.27),
    "Surprise": (0.40, 0.67),
}
"""Valence and arousal, -1 to 1: mean pleasure and arousal of angry, disgusted, fearful, joyful, sad
and surprised in Russell and Mehrabian 1977 (Journal of Research in Personality 11, 273-294); a
neutral face is the origin by definition."""
HEADING = "Valence and arousal"
_SOURCE = "mean place of the expressions on the circumplex, by their probabilities; no trained head"
COLUMNS = (
    Column("valence", f"How pleasant: {_SOURCE}.", low=-1, high=1, origin="derived"),
    Column("arousal", f"How aroused: {_SOURCE}.", low=-1, high=1, origin="derived"),
)


def derived_affect(probabilities: np.ndarray, names: tuple[str, ...]) -> Measure:
    """Valence and arousal of frames, as far as the expressions that have a place say.

    Args:
        probabilities: (F, C).
        names: Of the C expressions; those without a place (Other) are left out.

    Returns:
        The measure; a frame of which nothing but Other is said is NaN.
    """
    places = np.array([PLACES.get(name, (np.nan, np.nan)) for name in names])
    known = ~np.isnan(places[:, 0])
    weights = probabilities[:, known].astype(np.float64)
    total = weights.sum(axis=1, keepdims=True)
    values = np.full((len(weights), 2), np.nan)
    np.divide(weights @ places[known], total, out=values, where=total > 0)
    return Measure(HEADING, COLUMNS, values.astype(np.float32))
