# The two commands a newcomer needs: `make up` starts the store, `make test` proves it.

PYTHON ?= python3
BIN := .venv/bin
DATA ?= ./data
# Options of `cyxcloud up`, for example: make up ARGS="--listen 0.0.0.0:9000"
ARGS ?=
# On two cores; many tests wait for processes to start or to be killed.
TEST_WORKERS ?= 3

.PHONY: install dev up test long clients check bench clean

install: .venv/.installed
dev: .venv/.dev

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "CyxCloud needs Python 3.11 or newer: make PYTHON=python3.x")'
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/.dev: pyproject.toml | .venv/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

up: install
	exec $(BIN)/cyxcloud up --data $(DATA) $(ARGS)

test: dev
	$(BIN)/pytest -n $(TEST_WORKERS) tests conformance/clients

# The full forms of the bounded tests: minutes to hours.
long: dev
	$(BIN)/pytest -m long --timeout=7200 tests conformance/clients

# Brings every client that can be had here, tries the store with each and writes docs/clients.md.
clients: dev
	conformance/clients/install.sh .clients
	$(BIN)/pytest -m 'clients and not long' conformance/clients --matrix .clients/outcomes.json
	$(BIN)/python -m conformance clients .clients/outcomes.json

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

bench: dev
	$(BIN)/python -m bench

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
