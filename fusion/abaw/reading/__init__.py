"""Annotations, lists and folders of the challenge, read as labels with masks."""
