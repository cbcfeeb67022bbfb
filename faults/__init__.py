"""Real faults against real processes of `latte run`: what people see, and that nothing is lost.

`python -m faults --help`; the faults and what came of them are in `docs/faults.md`.
"""
