"""Audio encoders, one file each, and sound in chunks."""
