"""Files of predictions as columns on the clock, as people have reviewed them."""
