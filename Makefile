# Everything a person or a build machine does here. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := pacs dicomweb dimse reporting storage index config

VIEWER := data/viewer/files.json
PORTAL := pacs/portal/dist/index.html
PORTAL_SOURCES := $(wildcard web/portal/src/* web/portal/src/*/* web/portal/*.json web/portal/*.ts web/portal/index.html)

.PHONY: help run web test check bench docs tools clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) $(PORTAL) ## Start the server with a demo study and say where to go
	@test -e $(VIEWER) || $(BIN)/pacs viewer install || echo "Starting without the viewer; \`make web\` tries again."
	@$(BIN)/pacs serve --demo

web: $(READY) $(PORTAL) ## Build the pages and install the viewer
	@$(BIN)/pacs viewer install

$(PORTAL): $(PORTAL_SOURCES)
	@command -v npm >/dev/null || { echo "Node.js is missing: the pages are built with it (make tools)." >&2; exit 1; }
	cd web/portal && npm ci --no-audit --no-fund --silent && npm run build --silent
	@touch $@

test: $(READY) tools $(PORTAL) ## Run all tests (ARGS="-k dimse -x" narrows them)
	@# Tests start hundreds of processes, which would compile everything anew where Python may not keep what it compiles.
	@$(BIN)/python -m compileall -q $(PACKAGES) bench tests
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: $(READY) ## Lint, format, types, import contracts, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m config.reference --check docs/settings.md
	$(BIN)/python -m pacs.conformance --check docs/conformance.md
	$(BIN)/python -m pacs.openapi --check web/portal/openapi.json
	$(BIN)/python docs/modules.py --check

docs: $(READY) ## Write the generated documents anew
	$(BIN)/python -m config.reference docs/settings.md
	$(BIN)/python -m pacs.conformance docs/conformance.md
	$(BIN)/python -m pacs.openapi web/portal/openapi.json
	$(BIN)/python docs/modules.py

bench: $(READY) tools ## Measure against Orthanc and the machine (ARGS="--quick")
	@$(BIN)/python -m bench $(ARGS)

tools: ## Install the programs that tests and bench need, or name them
	@.ci/tools

clean: ## Remove the virtual environment and all caches; data/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info

$(READY): requirements.lock pyproject.toml
	@.ci/venv $(VENV)
