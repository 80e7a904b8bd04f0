"""Visual encoders, one file each, and faces as their input."""
