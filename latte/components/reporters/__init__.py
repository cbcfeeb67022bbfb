"""Reporters: what a finished run leaves for people."""
