"""Packages for authors of plugins: a complete one of each kind, to be changed into their own."""
