"""Components: how packages declare them, how they are found, named and built."""
