"""Headers and rows of annotation files, for tests that make small folders."""

from pathlib import Path

from fusion.tasks.au import UNITS
from fusion.tasks.compound import COMPOUNDS

VA = "valence,arousal\n"
EXPR = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n"
AU = ",".join(UNITS) + "\n"
EXPR_7 = EXPR.replace(",Other", "")
CE = ",".join(COMPOUNDS) + "\n"
MTL = "image,valence,arousal,expression,aus\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def row(picture: str, va: str = "0.1,0.2", expr: str = "3", au: str = "1" + ",0" * 11) -> str:
    return f"{picture},{va},{expr},{au}\n"
