"""What training reads: data module, data set, sampling, several corpora."""
