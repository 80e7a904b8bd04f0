"""Speed, memory, robustness and scale, measured."""
