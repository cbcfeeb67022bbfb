"""Run folders, and the reader of finished runs. Imports no torch."""
