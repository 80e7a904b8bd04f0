"""Tables and comparisons of people: summaries, groups, synchrony, agreement with own labels."""
