"""A clip with what was predicted drawn into its pictures, or with its faces blurred."""

from typing import Literal

Faces = Literal["boxes", "blur", "none"]
"""What is done to faces: boxes with what is said; nobody can be made out; the timeline alone."""
