"""Scripts that build the tiny LMM: data, training and export; README.md has the commands."""
