"""Is a store whole: checks of files and tracks, and what must go so that it is redone."""
