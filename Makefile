# Two commands: `make demo` and `make test`. Each makes the environment it needs; nothing is installed elsewhere.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# On the CPU the tests and tools need no PyTorch; `make benchmark-env` adds the peers.
.PHONY: demo test lint types check clean

demo: $(VENV)/.demo
	$(BIN)/jaxedit demo --out demo

test: $(VENV)/.test
	$(BIN)/python -m pytest tests

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

check: lint types test

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("jaxedit needs Python 3.11 or newer; %s is %s. Try: make PYTHON=python3.12 ..." % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
