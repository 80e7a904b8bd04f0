"""What is learnt: labels with masks, and the parts that belong to one task."""
