"""Version of latte. This module imports nothing."""

__version__ = "0.1.0"
