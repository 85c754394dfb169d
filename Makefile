# make compare   the main job: four architectures on synthetic faces, with a report
# make test      the fast tests
# make check     what CI runs: format, lint, types, all tests, stale documents, broken links
# make docs      write anew what is generated: tables and plot of results, CLI page, data error page, costs
# make site      the documentation as a web site; open site/index.html

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Not --quiet: warnings that are not shown do not fail a strict build.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: compare test check docs site clean

compare: $(VENV)/train
	$(BIN)/ferlab compare --out comparison --resume
	@echo "Open comparison/report.html in a browser."

test: $(VENV)/dev
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check
	$(MKDOCS)
	$(BIN)/python -m pytest -n auto --dist worksteal

docs: $(VENV)/dev
	$(BIN)/python docs/generate.py

site: $(VENV)/docs
	$(MKDOCS)
	@echo "Open site/index.html in a browser."

clean:
	rm -rf $(VENV) comparison site .pytest_cache .ruff_cache .mypy_cache

# Each file marks an environment with the extra of its name installed.
$(VENV)/train $(VENV)/dev $(VENV)/docs: $(VENV)/%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
