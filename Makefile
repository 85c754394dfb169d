# make compare   the main job: four architectures on drawn faces, with a report
# make test      the fast tests
# make check     what CI runs: format, lint, types, all tests, stale documents
# make docs      write anew what is generated: README table and plot, CLI page, bad-data page, costs

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: compare test check docs clean

compare: $(VENV)/train
	$(BIN)/ferlab compare --out comparison --resume
	@echo "Open comparison/report.html in a browser."

test: $(VENV)/dev
	$(BIN)/python -m pytest -m "not slow"

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m pytest

docs: $(VENV)/dev
	FERLAB_WRITE_DOCS=1 $(BIN)/python -m pytest -q tests/data/test_bad_data.py
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) comparison .pytest_cache .ruff_cache .mypy_cache

# Each file marks an environment with the extra of its name installed.
$(VENV)/train $(VENV)/dev: $(VENV)/%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
