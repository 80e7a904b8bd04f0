"""How every command behaves: settings, signals, progress, the corpus it falls back to."""
