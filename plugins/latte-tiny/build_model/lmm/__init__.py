"""How the small LMM was made: data, training, export. See README.md for the commands."""
