"""Tracks on disk: a track, its file, the folder of tracks, fingerprints, leases, verification."""
