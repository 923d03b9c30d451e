# Two commands: `make demo` and `make test`. Each makes the environment it needs; nothing is installed elsewhere.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# On Linux, memory in large pages: otherwise a third of the time of an image on a CPU goes into page faults.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

.PHONY: demo demo-photo test test-slow test-newest lint types docs check benchmark clean

demo: $(VENV)/.demo
	$(BIN)/jaxedit demo --out demo

demo-photo: $(VENV)/.photo
	$(BIN)/jaxedit demo-photo --out demo-photo

PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests

# Most of the time is XLA's: small programs are optimized less here. `make test-slow` and `make test-newest` compile as
# users do.
test: $(VENV)/.test
	JAXEDIT_TESTS_QUICK_COMPILATION=1 $(PYTEST) -m "not slow"

test-slow: $(VENV)/.test
	$(PYTEST) -m slow

# The core of the tests on the newest Python at hand, and with the newest JAX that it resolves.
NEWEST ?= $(shell for v in 3.14 3.13 3.12 3.11; do for p in python$$v $$HOME/.pyenv/versions/$$v*/bin/python; do \
	$$p -c 'import venv' 2>/dev/null && echo $$p && exit; done; done)
CORE = tests/storage tests/nn tests/generators/stylegan2 tests/latents tests/labels tests/axes tests/test_sharding.py

test-newest: .venv-newest/.test
	.venv-newest/bin/python -c "import sys, jax, flax; print('Python', sys.version.split()[0], 'JAX', jax.__version__, 'Flax', flax.__version__)"
	.venv-newest/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" $(CORE)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.test
	$(BIN)/mypy

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir site

check: lint types docs test test-slow

benchmark: $(VENV)/.benchmark
	$(BIN)/python -m benchmarks.speed.synthesis --json benchmarks/results/synthesis_cpu.json
	$(BIN)/python -m benchmarks.speed.latents --json benchmarks/results/latents_cpu.json
	$(BIN)/python -m benchmarks.quality.image_effects --json benchmarks/results/image_effects_cpu.json
	$(BIN)/python -m benchmarks.speed.axis_learning --json benchmarks/results/axis_learning_cpu.json
	$(BIN)/python -m benchmarks.quality.ablations --json benchmarks/results/ablations_cpu.json --figure docs/images/ablations.png --page docs/ablations.md

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("jaxedit needs Python 3.11 or newer; %s is %s. Try: make PYTHON=python3.12 ..." % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.photo: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[photo]'
	touch $@ $(VENV)/.demo

$(VENV)/.test: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.demo

.venv-newest/.test: pyproject.toml
	$(NEWEST) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/.demo

$(VENV)/.benchmark: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test,benchmark]'
	touch $@ $(VENV)/.demo $(VENV)/.test

clean:
	rm -rf $(VENV) .venv-newest demo demo-photo site .pytest_cache .mypy_cache .ruff_cache
