"""Built-in pseudo-labelers."""
