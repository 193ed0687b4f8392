# The tasks of the project, for people and CI. `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Python 3.14 is tested least, so it comes last. PYTHON_FOR_VENV=path selects another Python, VENV=folder another environment.
PYTHON_FOR_VENV ?= $(shell for v in 3.12 3.13 3.11 3.14; do p=$$(command -v python$$v) && "$$p" -c 'import venv' 2>/dev/null && { echo "$$p"; exit; }; done; \
	for p in python3 python; do "$$p" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && { echo "$$p"; exit; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
READY := $(VENV)/.installed-$(shell (sha256sum requirements.lock 2>/dev/null || shasum -a 256 requirements.lock) | cut -c1-16)
GROUPS := serving training tracking orchestration stack celery monitoring traffic test build lint iac
UV := $(BIN)/uv
UV_VERSION := 0.13.9

SERVICE ?=
USERS ?= 20
TIME ?= 2m
CANDIDATE ?=
CHANGED ?=
NAME ?=
TO ?=
PARTS ?= tests/integration
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

export PYTHONUNBUFFERED := 1
# The stack and the tests start hundreds of processes, each of which would compile every module that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install up down status logs traffic train evaluate split stop-candidate screenshots notebook new-domain test test-unit \
	test-infrastructure test-integration test-e2e lint format lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

install: $(READY) $(BIN)/homeprices ## install the locked packages and the command homeprices into .venv

# setuptools is in the lock, so the build needs no network; the command runs the code of this folder.
INSTALL_COMMAND := $(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .

$(READY): requirements.lock
	@test -n "$(PYTHON_FOR_VENV)" || { echo "Python 3.11, 3.12, 3.13 or 3.14 with venv is needed and was not found on PATH" >&2; exit 1; }
	@echo "installing into $(VENV) with $(PYTHON_FOR_VENV)"
	@test -x $(PYTHON) || "$(PYTHON_FOR_VENV)" -m venv $(VENV)
	@test -x $(UV) || $(PYTHON) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) pip install --quiet --python $(PYTHON) --require-hashes -r requirements.lock
	@$(INSTALL_COMMAND)
	@rm -f $(VENV)/.installed-*; touch $@

# For an environment that was installed before the project had this command.
$(BIN)/homeprices: pyproject.toml | $(READY)
	@$(INSTALL_COMMAND)
	@touch $@

up: $(READY) ## start the whole stack in the background (DATASET=path.csv, STACK_PORT_OFFSET=1000)
	@$(PYTHON) -m local up

down: $(READY) ## stop the stack and keep its data
	@$(PYTHON) -m local down

status: $(READY) ## show services, uptime and memory
	@$(PYTHON) -m local status

logs: $(READY) ## follow the log of one service: make logs SERVICE=router
	@$(PYTHON) -m local logs $(SERVICE) -f

traffic: $(READY) ## simulate visitors who request and rate prices (USERS=20 TIME=2m)
	@$(PYTHON) -m locust -f tests/load/locustfile.py --headless --users $(USERS) --spawn-rate $(USERS) --run-time $(TIME) --stop-timeout 10

# Variables of the command line only, because others may be in the environment for another purpose.
param = $(if $(filter command,$(firstword $(origin $(2)))),--param '$(1)=$($(2))')

train: $(READY) ## start a training run (DATASET_VERSION=2 PRESET=full SEED=3 ESTIMATORS=ridge,boosting FIRST_MODEL=best)
	@$(PYTHON) -m homeprices airflow trigger training $(call param,dataset,DATASET_VERSION) $(call param,preset,PRESET) \
		$(call param,seed,SEED) $(call param,estimators,ESTIMATORS) $(call param,first_model,FIRST_MODEL)

evaluate: $(READY) ## evaluate the experiment: promote, roll back or continue
	@$(PYTHON) -m homeprices airflow trigger evaluation

split: $(READY) ## set the candidate's traffic share: make split CANDIDATE=30
	@test -n "$(CANDIDATE)" || { echo "CANDIDATE is missing: make split CANDIDATE=30 (percent, 0 to 50)" >&2; exit 2; }
	@$(PYTHON) -m homeprices release share $(CANDIDATE)

stop-candidate: $(READY) ## set the candidate's traffic share to zero
	@$(PYTHON) -m homeprices release stop

screenshots: $(READY) ## renew the screenshots of the form and the operations page, from the running stack
	@$(PYTHON) -m tests.e2e.screenshots

notebook: $(READY) ## run the notebook on the running stack and keep its outputs
	@$(PYTHON) -m tests.support.notebook documentations/notebooks/bangalore_home_prices.ipynb

new-domain: $(READY) ## copy the project with another domain: make new-domain NAME=diamonds TO=../diamonds
	@$(PYTHON) -m local.new_domain '$(NAME)' $(if $(TO),'$(TO)')

test: $(READY) ## all tests against real servers, with coverage (CHANGED=1: those that your changes can reach)
	@$(PYTHON) tests/run_tests.py $(if $(CHANGED),--changed $(CHANGED))

test-unit: $(READY) ## unit tests, without servers
	@$(PYTHON) -m pytest tests/unit $(PARALLEL)

test-infrastructure: $(READY) ## tests of AWS resources, Kubernetes manifests and Compose scripts, without a cloud
	@$(PYTHON) -m pytest tests/infrastructure $(PARALLEL)

test-integration: $(READY) ## tests against real servers (PARTS=tests/integration/router)
	@$(PYTHON) -m pytest $(PARTS) $(PARALLEL)

test-e2e: $(READY) ## the whole loop through a real Airflow: train, release, evaluate
	@$(PYTHON) -m pytest tests/e2e

lint: $(READY) ## ruff, mypy, hadolint; with Docker also compose files and built images
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/hadolint Dockerfile .devcontainer/Dockerfile
	@$(MAKE) --no-print-directory compose-config image-secrets workflows

format: $(READY) ## format the code with ruff
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

lock: $(READY) ## update requirements.lock from pyproject.toml
	@$(UV) pip compile pyproject.toml $(foreach group,$(GROUPS),--group $(group)) --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock

clean: $(READY) ## stop the stack and delete its data
	@$(PYTHON) -m local clean

# Each package keeps its own targets.
include $(wildcard */targets.mk homeprices/*/targets.mk)
