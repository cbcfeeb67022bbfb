"""Review of a run by a person: a few dozen answers measure the gain and correct labels."""
