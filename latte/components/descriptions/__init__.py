"""Description types."""
