"""The version of latte, imported without anything else."""

__version__ = "0.1.0"
