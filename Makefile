# What each target does: README.md and CONTRIBUTING.md. Everything happens in .venv.
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
EDITABLE := -e ".[dev]" $(addprefix -e ,$(PLUGINS))

.PHONY: demo test thorough lint check slow pages browser dist release-check versions faults docs plugins processes install format clean

demo: install
	$(BIN)/latte run recipes/demo.yaml

test: install
	$(BIN)/python -m pytest -m "not slow and not thorough" -n auto

thorough: install
	$(BIN)/python -m pytest -m "thorough and not slow" -n auto

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test thorough

docs: install
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build

processes: install
	$(BIN)/python -m pytest -m processes tests/run tests/train

plugins: install
	$(BIN)/python -m pytest -m slow -n auto tests/plugin_kit

slow: install
	$(BIN)/python -m pytest -m slow

pages: install
	$(BIN)/python -m pytest -m slow -n auto --dist loadfile tests/docs

browser: install
	$(BIN)/python -m pytest -m slow -n auto tests/browser

dist: install
	rm -rf dist
	set -e; for package in . $(PLUGINS); do $(BIN)/python -m build --no-isolation --outdir dist $$package; done

release-check: dist
	LATTE_DIST=dist $(BIN)/python -m pytest -m "slow or not slow" -n auto --dist loadfile tests/packages

versions: install
	$(BIN)/python -m tests.packages.versions

faults: install
	$(BIN)/python -m faults

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: .venv/installed

.venv/installed: pyproject.toml $(wildcard plugins/*/pyproject.toml plugins/*/*/*.c)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "latte needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(EDITABLE)
	touch $@

clean:
	rm -rf .venv dist docs/_build docs/reference .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
