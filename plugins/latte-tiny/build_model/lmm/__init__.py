"""Construction of the small LMM: data, training, export. See README.md for the commands."""
