"""From checkpoint to predictions: network, runner, predictor, predictions as files."""
