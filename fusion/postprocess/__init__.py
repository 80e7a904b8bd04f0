"""From scores to decisions: smoothing, thresholds, and how they are tuned."""
