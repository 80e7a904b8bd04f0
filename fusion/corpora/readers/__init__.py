"""One file a data set: how it is recognised and read. What registers itself here is known."""
