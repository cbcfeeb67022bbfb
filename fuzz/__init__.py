"""Coverage-guided fuzzing of all readers of untrusted files.

`python -m fuzz TARGET --seconds N` runs one target; `python -m fuzz --list` names them. It needs
atheris (`pip install 'latte-clip[fuzz]'`); the same targets run without it, on hypothesis' inputs,
in `tests/fuzz`.
"""
