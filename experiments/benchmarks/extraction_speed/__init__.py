"""Speed of extraction beside what users write themselves."""
