"""Several models as one: members, weights, averaging."""
