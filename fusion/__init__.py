"""Tracks and labels in; trained models, predictions, scores and leaderboard files out."""
