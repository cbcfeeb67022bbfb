"""Coverage-guided fuzzing of all readers of untrusted files.

`python -m fuzz TARGET --seconds N` runs one target; `python -m fuzz --list` lists all targets.
Fuzzing needs atheris (`pip install 'latte-clip[fuzz]'`); without it, `tests/fuzz` runs the targets
on inputs of hypothesis.
"""
