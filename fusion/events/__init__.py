"""Events by rules over columns of predictions, own measures by formula; no text is run."""
