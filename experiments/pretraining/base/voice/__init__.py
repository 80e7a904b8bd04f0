"""What encoders tell of voices: heard, told by linear probes, and written on a page."""
