"""Contract tests and fixtures for authors of plugins."""
