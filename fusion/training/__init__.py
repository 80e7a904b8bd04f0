"""Training: settings, run, run folder, Lightning module, stages, cross-validation."""
