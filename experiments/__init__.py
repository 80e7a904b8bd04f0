"""Studies, benchmarks, training scripts of packaged weights, and the demo corpus."""
