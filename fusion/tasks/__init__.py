"""What is learnt: labels with masks, and one file a task (`base.Task` says what a task is)."""
