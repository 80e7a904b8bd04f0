"""fusion from a script or a notebook: what `from fusion import ...` gives."""
