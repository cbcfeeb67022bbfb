"""Built-in prototype aggregators."""
