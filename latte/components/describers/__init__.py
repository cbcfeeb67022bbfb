"""Built-in describers."""
