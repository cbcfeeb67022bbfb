"""Atomic and tensor files, paths that users give, and redaction of secrets."""
