# The same commands for people and for CI. Each sets up what it needs in .venv first.
#
#   make demo    run the flights study with Skate, next to serial Python, a data pipeline over them, next to DuckDB,
#                and the whole way from the flights to a service: prepared, tuned, trained, served, asked
#   make test    check, then run the tests, JOBS files at a time (2)
#   make slow    run the tests that take long: chaos, gigabytes, hundreds of sessions
#   make clients run published libraries that were written for Ray on Skate, each in an environment of its own
#   make heavy-clients   the same for libraries that need large packages, or much time
#   make check   lint, formatting, types and the layers
#   make bench   run the benchmarks of the core
#   make docs    run every example in the documentation
#
# PYTHON=... chooses another interpreter (3.11 or newer) for the environment.

.DEFAULT_GOAL := test
.PHONY: demo test slow clients heavy-clients check bench docs clean
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
MADE := $(VENV)/.made
DEMO := $(VENV)/.installed-demo
DEV := $(VENV)/.installed-dev

# The first of these that runs and is new enough; a name on the PATH may be a shim for nothing.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
FIND_PYTHON := for python in python3.11 python3 python3.12 python3.13; do \
	"$$python" -c "$(NEW_ENOUGH)" >/dev/null 2>&1 && echo "$$python" && break; done
PYTHON ?= $(shell $(FIND_PYTHON))

# How many files of tests run at a time; a file's tests run in order, in one process.
JOBS ?= 2

# Files under these are typed.
CODE := $(wildcard skate tests benchmarks examples)

demo: $(DEMO)
	$(PY) examples/flights.py
	$(PY) examples/flights_data.py
	$(PY) examples/delays.py

test: check
	$(PY) -m pytest -n $(JOBS) --dist loadfile

slow: $(DEV)
	$(PY) -m pytest -m slow

clients: $(DEV)
	$(PY) -m pytest -m client tests/clients

heavy-clients: $(DEV)
	$(PY) -m pytest -m heavy_client tests/clients

check: $(DEV)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports

bench: $(DEV)
	$(PY) -m benchmarks core

docs: $(DEV)
	$(PY) -m pytest tests/test_docs.py

clean:
	rm -rf $(VENV) build dist .clients .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# The stamps: an installation is repeated when pyproject.toml has changed, and only then.
$(DEMO): pyproject.toml | $(MADE)
	@echo "installing Skate and what the demo needs into $(VENV)"
	@$(PIP) --editable '.[demo]'
	@touch $@

$(DEV): pyproject.toml | $(MADE)
	@echo "installing Skate and what its tests need into $(VENV)"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(DEMO)

$(MADE):
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found: install one, or say make PYTHON=..."; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@
