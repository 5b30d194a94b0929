# Two commands do everything on a fresh machine with Python ≥ 3.11 (with venv) and make:
#   make run    sets up and starts the daemon with its demo room
#   make test   sets up, including what browser and broker tests need, and runs all checks and tests

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= config.toml
export PYTHONDONTWRITEBYTECODE :=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run test check simulate test-long bench format lock clean system

help:
	@sed -n 's/^#   //p' $(MAKEFILE_LIST)
	@echo "make check  linters, types, floors; make bench  benchmarks; make test-long  what takes long; make simulate SEED=7  one simulated run"

run: $(VENV)/run.stamp $(VENV)/kernel.stamp
	$(BIN)/frontrow run --config $(CONFIG)

# Side by side on all cores. Each worker takes a stretch of the tests in their order, so that what a module's tests share
# is made once, and who has finished takes over half of what another has left, so that nobody waits at the end.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

# What the system lacks is fetched while packages are installed and types are checked.
test:
	@$(MAKE) --no-print-directory -j2 check system
	$(PYTEST)

check: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/frontrow check --config config.toml

simulate: $(VENV)/test.stamp
	$(BIN)/python -m tests.simulation $(SEED)

test-long: $(VENV)/test.stamp system
	$(PYTEST) -m long

bench: $(VENV)/test.stamp
	$(BIN)/python -m pytest tests/benchmarks -p no:cacheprovider --override-ini addopts="--import-mode=importlib" -s

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Debian packages that the browser and broker tests need; the tests say so and skip where they cannot be had.
system:
	@tests/install-system.sh

# The first Python that is new enough; a name on PATH may be a shim that does not run.
$(BIN)/python:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "setting up $(VENV) with $$($$python --version)"; \
	    exec $$python -m venv $(VENV); \
	  fi; \
	done; \
	echo "Frontrow needs Python 3.11 or newer; name one with make PYTHON=…" >&2; exit 1

$(VENV)/run.stamp: requirements/run.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The compiled kernel makes things faster and changes nothing else. Where it cannot be built, for want of a compiler or of Python's
# headers, all works without it.
$(VENV)/kernel.stamp: kernel/pyproject.toml kernel/setup.py $(wildcard kernel/src/*) $(VENV)/run.stamp
	@rm -rf kernel/build
	@if $(BIN)/python -m pip install --no-deps --no-build-isolation ./kernel >$(VENV)/kernel.log 2>&1; then \
	  echo "compiled kernel built"; \
	else \
	  $(BIN)/python -m pip uninstall --quiet --yes frontrow-kernel 2>/dev/null || true; \
	  echo "no compiled kernel: a C compiler or Python's headers are missing ($(VENV)/kernel.log); Frontrow is slower without, no more"; \
	fi
	@touch $@

$(VENV)/test.stamp: requirements/dev.lock $(VENV)/run.stamp $(VENV)/kernel.stamp
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	@touch $@

# Pins every dependency with its hashes, for every Python from 3.11 on; names no registry.
lock: $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet -o requirements/run.lock
	$(BIN)/uv pip compile pyproject.toml --group build --group dev -c requirements/run.lock --universal \
	  --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --quiet -o requirements/dev.lock

clean:
	rm -rf $(VENV) kernel/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache out
