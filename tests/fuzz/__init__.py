"""Coverage-guided fuzzing of all readers of untrusted files.

`python -m tests.fuzz TARGET --seconds N` runs one target, and `python -m tests.fuzz --list` lists
all targets. Fuzzing needs atheris, which `make install` installs on Linux; without it,
`test_targets.py` runs the targets on inputs of hypothesis.
"""
