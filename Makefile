# What each target does: README.md and CONTRIBUTING.md. Everything happens in .venv.
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
# One process per core, each with one thread: more threads than cores only wait for each other.
# Each gets neighbouring tests, which share the runs that they read.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal
# Modules are compiled when they are first imported: most never are, and compiling all takes a minute.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
export PYTHONDONTWRITEBYTECODE :=
# What recipes/demo.yaml needs beside the core.
DEMO := plugins/latte-tiny

.PHONY: demo test thorough lint check slow pages pictures browser dist release release-check versions faults docs plugins processes student install format clean

demo: .venv/demo
	$(BIN)/latte run recipes/demo.yaml

test: install
	$(PYTEST) -m "not slow and not thorough"

thorough: install
	$(PYTEST) -m "thorough and not slow"

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pyright --verifytypes latte --ignoreexternal > .venv/types.txt \
	  || { grep -E 'error|score' .venv/types.txt; exit 1; }

check: lint test thorough

docs: install
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build

processes: install
	$(BIN)/python -m pytest -m processes tests/run tests/train

student: install
	$(PYTEST) -m slow plugins/latte-student

plugins: install
	$(PYTEST) -m slow tests/author/kit

slow: install
	$(BIN)/python -m pytest -m slow

pages: install
	$(PYTEST) --dist loadgroup -m slow tests/docs

pictures: install
	$(BIN)/python -m scripts.pictures

browser: install
	$(PYTEST) -m slow tests/browser

dist: install
	rm -rf dist
	printf '%s\n' . $(PLUGINS) | xargs -P 2 -I{} $(BIN)/python -m build --no-isolation --outdir dist {}

# The address of the repository is written nowhere here; see scripts/release.py.
release: install
	$(BIN)/python scripts/release.py "$(REPOSITORY)" dist

release-check: dist
	LATTE_DIST=dist $(PYTEST) --dist loadfile -m "not thorough" tests/packages

versions: install
	$(BIN)/python -m tests.packages.versions

faults: install
	$(BIN)/python -m tests.faults

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: .venv/installed

.venv/demo: pyproject.toml $(DEMO)/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "latte needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) -e . -e $(DEMO)
	touch $@

.venv/installed: .venv/demo $(wildcard plugins/*/pyproject.toml plugins/*/*/*.c)
	$(INSTALL) -e ".[dev]" $(addprefix -e ,$(PLUGINS))
	touch $@

clean:
	rm -rf .venv dist docs/_build docs/reference .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
