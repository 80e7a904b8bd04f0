"""What each system's idea is worth."""
