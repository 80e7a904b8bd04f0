"""Media in, feature tracks out."""
