"""Atomic writing of files, files of tensors, paths that users give, and redaction of secrets."""
