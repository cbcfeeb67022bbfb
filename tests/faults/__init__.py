"""Fault injection into processes of `latte run`: checks messages, and that no data are lost.

`python -m tests.faults --help`; the faults and their outcomes are in `docs/faults.md`.
"""
