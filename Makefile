# Everything installs itself into .venv; only Python >= 3.11 and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: setup quickstart test lint types docs bench clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'imbalance-bench needs Python >= 3.11: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]" --constraint constraints.txt
	touch $@

quickstart: setup
	$(BIN)/imbalance-bench quickstart

test: setup
	$(BIN)/pytest -m "not gpu and not cluster" -n auto

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/basedpyright

docs: setup
	$(BIN)/python -m imbalance_bench.catalogue > docs/methods.md
	$(BIN)/python -m imbalance_bench.models.encoder_presets > docs/encoders.md
	$(BIN)/python -m benchmarks.cross_implementation > docs/conformance.md

bench: setup
	$(BIN)/python -m benchmarks --out results/speed/cpu.json

clean:
	rm -rf $(VENV) build *.egg-info
