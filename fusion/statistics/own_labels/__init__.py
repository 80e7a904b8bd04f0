"""Labels that people made themselves: read, held against predictions, learnt a scale from."""
