"""What training makes small: one module a task, multi-task weighting, distillation."""
