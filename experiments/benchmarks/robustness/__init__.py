"""Kills, damaged and odd files."""
