"""Built-in description types."""
