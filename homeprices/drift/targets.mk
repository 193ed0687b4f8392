# Drift. The Makefile includes this; PYTHON is the interpreter of the project's environment.
PYTHON ?= .venv/bin/python
LISTINGS ?= ../shared/data/bengaluru_house_prices.csv

.PHONY: simulate-drift

simulate-drift: ## Measure how often drift is found with and without any, and write the table (RUNS=1000, LISTINGS=path.csv)
	$(PYTHON) -m benchmarks.drift_error_rates --listings $(LISTINGS) --runs $(or $(RUNS),1000) --page documentations/drift.md

.PHONY: benchmark-drift

benchmark-drift: ## What comparing a million homes with a million costs, beside pandas and scipy (ROWS=1000000)
	$(PYTHON) -m benchmarks.drift_million_rows --rows $(or $(ROWS),1000000)

.PHONY: benchmark-drift-report

benchmark-drift-report: ## How long /api/drift_report takes with a year of reports, beside computing one when asked
	$(PYTHON) -m benchmarks.drift_report --out benchmarks/results/drift_report.json

.PHONY: check-evidently

# Evidently does not import beside pandas 3: it gets a venv of its own, outside the project's environment.
check-evidently: ## Compare the rules that stand for Evidently in the simulation with the real program
	$(BIN)/uv venv --quiet --allow-existing .venv-evidently
	$(BIN)/uv pip install --quiet --python .venv-evidently/bin/python evidently==0.7.23 'pandas<3'
	$(PYTHON) -m benchmarks.evidently_agrees --python .venv-evidently/bin/python --listings $(LISTINGS)
