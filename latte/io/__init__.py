"""Atomic file writing, tensor files, checks of paths and files, and redaction of secrets."""
