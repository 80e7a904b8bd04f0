"""What a folder of the challenge holds, and what is wrong with it."""
