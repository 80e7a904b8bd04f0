"""Sound of any file as one channel, on the clock of the pictures."""
