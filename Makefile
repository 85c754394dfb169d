# make compare   train four architectures on synthetic faces and write a report
# make test      run the fast tests
# make check     run what CI runs: format, lint, types, layers, all tests, stale documents, broken links
# make torture   attack ferlab for MINUTES=10 with kills, full disks, damaged files and hostile images
# make docs      update the generated documents: tables, plots, CLI reference, data error reference, model statistics
# make site      build the documentation site; open site/index.html

PYTHON ?= python3
MINUTES ?= 10
SEED ?= 0
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE

.PHONY: compare test check torture docs site clean

compare: $(VENV)/train
	$(BIN)/ferlab compare --out comparison --resume
	@echo "Open comparison/report.html in a browser."

test: $(VENV)/dev
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@output=$$($(BIN)/lint-imports --no-logo --no-cache) || { echo "$$output"; exit 1; }
	$(BIN)/python docs/generate.py --check
	$(BIN)/zensical build --strict --clean
	$(BIN)/python -m pytest -n auto --dist worksteal

torture: $(VENV)/dev
	$(BIN)/python -m tests.torture --minutes $(MINUTES) --seed $(SEED)

docs: $(VENV)/dev
	$(BIN)/python docs/generate.py

site: $(VENV)/docs
	$(BIN)/zensical build --strict --clean
	@echo "Open site/index.html in a browser."

clean:
	rm -rf $(VENV) comparison site .cache .pytest_cache .ruff_cache .mypy_cache

# Each of these files marks an environment that has the extra of the same name. Modules are compiled when they are first
# imported: pip would compile the thousands that never are.
$(VENV)/train $(VENV)/dev $(VENV)/docs: $(VENV)/%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[$*]"
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
