"""What is told of a person beside the model: readings of encoders, a baseline, a summary."""
