"""Leaderboard files, written and checked."""
