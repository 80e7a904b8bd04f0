"""Frames of a video and still pictures, as they are shown."""
