"""How the packaged weights were trained."""
