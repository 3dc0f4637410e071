# Everything installs itself into .venv; only Python >= 3.11 and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: setup quickstart test documents lint types pages docs bench clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'imbalance-bench needs Python >= 3.11: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,docs]" --constraint constraints.txt
	touch $@

quickstart: setup
	$(BIN)/imbalance-bench quickstart

test: setup
	$(BIN)/pytest -m "not gpu and not cluster and not bench and not documents" -n auto

# the longer commands of README and docs, as they are typed there
documents: setup
	$(BIN)/pytest -m documents tests/docs

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/basedpyright

# the generated pages of docs/, which are committed
pages: setup
	$(BIN)/python -m docs.generate

# the site, in build/docs/html; the example studies are made once (about ten minutes on two cores)
SITE := build/docs
EXAMPLES := $(SITE)/quickstart/study $(SITE)/two_models $(SITE)/tuned
SMALL := $(SITE)/two_models/analysis/verdicts.json $(SITE)/tuned/analysis/verdicts.json

docs: pages $(SITE)/quickstart/study/report/index.html $(SITE)/compared/critical_difference.svg
	$(BIN)/python -m docs.generate.gallery $(EXAMPLES) --compared $(SITE)/compared
	$(BIN)/python -m sphinx --nitpicky --fail-on-warning --keep-going --quiet docs $(SITE)/html

$(SITE)/quickstart/study/report/index.html: | $(INSTALLED)
	$(BIN)/imbalance-bench quickstart --out $(SITE)/quickstart --cache $(SITE)/cache

$(SITE)/tissue/index.csv: | $(INSTALLED)
	$(BIN)/imbalance-bench data phantom $(SITE)/tissue

$(SMALL): $(SITE)/%/analysis/verdicts.json: docs/generate/%.yaml | $(SITE)/tissue/index.csv
	$(BIN)/imbalance-bench run $< --out $(SITE)/$* --cache $(SITE)/cache
	$(BIN)/imbalance-bench analyze $(SITE)/$* --cache $(SITE)/cache

$(SITE)/compared/critical_difference.svg: $(SMALL) $(SITE)/quickstart/study/report/index.html
	$(BIN)/imbalance-bench compare $(SITE)/quickstart/study $(SITE)/tuned --out $(SITE)/compared

# the rows of a GPU are skipped with a line where there is none
bench: setup
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks --device cuda

clean:
	rm -rf $(VENV) build *.egg-info
