"""Labels and streams as windows and batches: clips, folds, sampling, the data module."""
