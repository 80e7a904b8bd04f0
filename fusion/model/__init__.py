"""The fusion model: one temporal encoder per stream, fusion over streams, one head per task."""
