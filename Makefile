# Everything runs inside .venv, which is made on the first call and remade when what it holds changes.
# A second call needs no network.

PYTHON ?= python3
PIP_ARGS ?=
DEMO_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) --constraint constraints.txt
# One thread for each of two test processes: more threads than cores make small tensors many times slower.
# Stealing work keeps the tests of a file together, so that what they share is made once.
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check bench bench-edges docs claims clean

help:  ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "graph-metamers needs Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); \
	name another one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable '.[dev,study]'
	@touch $@

$(VENV)/.installed-all: $(VENV)/.installed
	$(PIP) --no-build-isolation --editable '.[dev,study,ray]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --no-build-isolation --editable '.[dev,study,docs]'
	@touch $@

demo: $(VENV)/.installed  ## Audit three trained networks on handwritten digits and write a report
	$(BIN)/graph-metamers demo $(DEMO_ARGS)

test: $(VENV)/.installed  ## Run the tests (under five minutes)
	$(TESTS) -m 'not slow'

test-all: $(VENV)/.installed-all  ## Run all tests, the slow ones and the browser's too
	$(TESTS)

check: $(VENV)/.installed  ## Format, lint, types, and the direction of imports
	$(BIN)/ruff format --check src tests claims benchmarks docs
	$(BIN)/ruff check src tests claims benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.installed-bench: $(VENV)/.installed
	$(PIP) --no-build-isolation --editable '.[dev,study,bench]'
	@touch $@

bench: $(VENV)/.installed-bench  ## Compare the search with its peers, side by side, and draw it (half an hour)
	$(BIN)/python benchmarks/steps.py
	$(BIN)/python benchmarks/dimensions.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/plots.py

bench-edges: $(VENV)/.installed-bench  ## The same for searches of other edges (an hour and a half)
	$(BIN)/python benchmarks/edge_growth.py
	$(BIN)/python benchmarks/edges.py
	$(BIN)/python benchmarks/edge_plots.py

docs: $(VENV)/.installed-docs  ## Build the documentation into docs/_build
	$(BIN)/sphinx-build --fail-on-warning --keep-going -b html docs docs/_build/html

claims: $(VENV)/.installed-all  ## Measure every public claim anew, speed after `make bench`; prints PASS or FAIL
	$(BIN)/python claims/run_all.py

clean:  ## Remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist docs/_build graph-metamers-demo artefacts .mypy_cache .ruff_cache .pytest_cache
