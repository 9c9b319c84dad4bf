# Every target sets itself up: nothing needs to be installed by hand but Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_HOME ?= demo
# Hundreds of short processes would compile the same sources again and again.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help venv demo test check bench soak lock clean
help:
	@echo "make demo    the main job, offline: simulated exchange -> log -> backtests -> paper run -> report"
	@echo "make test    the test suite"
	@echo "make check   format, lint, types, import rules"
	@echo "make bench   the benchmarks (benchmarks/README.md)"
	@echo "make soak    the long suites"

venv: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Carryfold needs Python 3.11 or later, this is " + sys.version.split()[0] + "; name another with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(STAMP)

demo: venv
	$(BIN)/carryfold --home $(DEMO_HOME) demo

test: venv
	$(BIN)/python -m pytest -n 5 --dist worksteal -m "not soak"

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: venv
	$(BIN)/python benchmarks/run_all.py

soak: venv
	$(BIN)/python -m pytest -m soak

lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
