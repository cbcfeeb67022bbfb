"""Fault injection into real processes of `latte run`: messages are checked, and nothing is lost.

`python -m faults --help`; the faults and their outcomes are in `docs/faults.md`.
"""
