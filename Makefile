# `make` lists the verbs. Each installs what it needs first; a second time that takes no time.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
# Installs the lock ten times faster than pip. The version the lock was made with; raise both together.
UV_VERSION := 0.13.8
# uv trusts its own list of authorities; the system's, where there is one, also has those of a company's proxy.
CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem /etc/pki/tls/certs/ca-bundle.crt)
UV := env -u PYTHONDONTWRITEBYTECODE -u VIRTUAL_ENV $(if $(CERTIFICATES),UV_SYSTEM_CERTS=1) UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv --quiet
INSTALL := $(UV) pip install --python $(BIN)/python --compile-bytecode
COMPILE := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links
# The interpreter for a new .venv: `make setup PYTHON=/path/to/python3.12`. Empty: the first one found that will do.
PYTHON ?=
# How many tests run side by side: `make test WORKERS=4`, or 0 for one after the other in one process.
WORKERS ?= 2
# Further arguments of the verb: `make run ARGS=--exit`, `make test ARGS="-k gates"`.
ARGS ?=

# Python may keep what it compiled, also where images forbid it: to compile the tests again costs each process four seconds.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
define SAY_WHAT_IS_SKIPPED
if [[ -z "$${SLIPWAY_TEST_POSTGRES:-}" ]]; then echo "SLIPWAY_TEST_POSTGRES is not set: the tests that need Postgres are skipped."; fi; \
if [[ -z "$${SLIPWAY_TEST_REDIS:-}" ]]; then echo "SLIPWAY_TEST_REDIS is not set: the tests that need Redis are skipped."; fi
endef

.PHONY: help
help: ## list the verbs
	@printf 'make VERB [ARGS="..."]\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: try
try: $(VENV)/.installed-try ## replay a hotel's year in half a minute, without Airflow: what retraining was worth
	@exec $(BIN)/slipway simulate --example $(ARGS)

.PHONY: run
run: setup ## start everything and replay the year until a drifted model was retrained and promoted
	@exec $(BIN)/slipway run $(ARGS)

.PHONY: up
up: setup ## start Airflow and MLflow, and keep them running until Ctrl-C
	@exec $(BIN)/slipway up $(ARGS)

.PHONY: test
test: $(VENV)/.installed-test ## run the tests, without those marked slow
	@echo "Tests marked slow (long simulations, sweeps, chains) are left out; make test-slow runs them, and only them."
	@$(SAY_WHAT_IS_SKIPPED)
	@exec $(PYTEST) -m "not slow" $(ARGS)

.PHONY: test-slow
test-slow: $(VENV)/.installed-test $(VENV)/.installed-try ## run the tests marked slow: long simulations, sweeps, chains
	@$(SAY_WHAT_IS_SKIPPED)
	@exec $(PYTEST) -m slow $(ARGS)

.PHONY: mutants
mutants: $(VENV)/.installed-test ## change the domain bit by bit, and name the changes that no unit test notices
	@exec $(BIN)/python -m tests.mutants --workers $(WORKERS) $(ARGS)

.PHONY: lint
lint: $(VENV)/.installed-test ## check style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: docs
docs: $(VENV)/.installed-test ## build the documentation into .site; a dead link or an undocumented field fails it
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet $(ARGS)
	@echo "The documentation is in .site; open .site/index.html, or see it with search: $(BIN)/python -m http.server -b 127.0.0.1 -d .site 8000"

.PHONY: bench
bench: setup ## measure: make bench B=main_job
	@if [[ -z "$(B)" ]]; then echo "Which one? make bench B=NAME; there are: $$(cd benchmarks && ls *.py */__main__.py | sed 's/\.py$$//; s/.__main__$$//' | grep -v '^_' | tr '\n' ' ')"; exit 64; fi
	@exec $(BIN)/python -m benchmarks.$(B) $(ARGS)

.PHONY: env-file
env-file: ## write .env with generated secrets for docker-compose
	@python3 deploy/make_env.py

.PHONY: lock
lock: $(BIN)/uv ## resolve requirements*.in into requirements*.txt
	@$(COMPILE) $(ARGS) requirements.in -o requirements.txt
	@$(COMPILE) $(ARGS) requirements-dev.in -o requirements-dev.txt

.PHONY: clean
clean: ## remove caches and everything the services wrote (.slipway); .venv stays
	@if [[ -e .slipway/services.json ]] && kill -0 "$$(grep -o '"pid": [0-9]*' .slipway/services.json | grep -o '[0-9]*')" 2>/dev/null; then echo "The services are running; stop them first."; exit 69; fi
	@rm -rf .slipway .site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# --- what has to be installed ----------------------------------------------------------------------------------------

.PHONY: setup
setup: $(VENV)/.installed ## install what `run` needs into .venv

$(BIN)/uv: Makefile
	@python="$(PYTHON)"; \
	fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; \
	if [[ -x $(BIN)/python ]] && $(BIN)/python -c "$$fits" 2>/dev/null && $(BIN)/python -m pip --version >/dev/null 2>&1; then :; else \
		for candidate in $${python:-python3 python3.13 python3.12 python3.11 python}; do \
			path=$$(command -v "$$candidate" || true); \
			if [[ -n "$$path" ]] && "$$path" -c "$$fits" 2>/dev/null; then found="$$path"; break; fi; \
		done; \
		if [[ -z "$${found:-}" ]]; then echo "Slipway needs Python 3.11, 3.12 or 3.13; $${python:-python3} is $$("$${python:-python3}" --version 2>/dev/null || echo missing). Name another with: make PYTHON=/path/to/python3.12"; exit 69; fi; \
		echo "Creating $(VENV) with $$found ($$("$$found" --version))."; \
		"$$found" -m venv --clear $(VENV) || { echo "$$found cannot create a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 69; }; \
	fi; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); \
	touch $(BIN)/uv

$(VENV)/.installed: requirements.txt pyproject.toml $(BIN)/uv
	@echo "Installing what requirements.txt names; the first time takes some minutes."
	@$(INSTALL) -r requirements.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@$(BIN)/python -c "import matplotlib.font_manager"  # builds its font cache, which would cost the first journey ten seconds
	@touch $@

# Beside what runs, in a folder that nothing imports from: only the example's table is taken from it.
$(VENV)/.installed-try: requirements-try.txt $(VENV)/.installed
	@$(INSTALL) --no-deps --require-hashes --target $(VENV)/examples -r requirements-try.txt
	@touch $@

$(VENV)/.installed-test: requirements-dev.txt $(VENV)/.installed
	@$(INSTALL) -r requirements-dev.txt
	@touch $@
