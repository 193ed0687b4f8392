# Drift. The Makefile includes this; PYTHON is the interpreter of the project's environment.
PYTHON ?= .venv/bin/python
LISTINGS ?= ../shared/data/bengaluru_house_prices.csv

.PHONY: simulate-drift

simulate-drift: ## measure the error rates of drift detection and renew the tables (RUNS=1000, LISTINGS=path.csv)
	$(PYTHON) -m benchmarks.drift_error_rates --listings $(LISTINGS) --runs $(or $(RUNS),1000) --page documentations/drift.md \
		--columns-page documentations/evidently.md

.PHONY: benchmark-drift

benchmark-drift: ## time of comparing a million homes with a million, compared with pandas and SciPy (ROWS=1000000)
	$(PYTHON) -m benchmarks.drift_million_rows --rows $(or $(ROWS),1000000)

.PHONY: benchmark-drift-report

benchmark-drift-report: ## time of /api/drift_report with a year of reports, compared with computing one on request
	$(PYTHON) -m benchmarks.drift_report --out benchmarks/results/drift_report.json

.PHONY: check-evidently

# Evidently does not import with pandas 3, so it gets a separate environment.
check-evidently: ## compare the simulation's reimplementation of Evidently's rules with Evidently
	$(BIN)/uv venv --quiet --allow-existing .venv-evidently
	$(BIN)/uv pip install --quiet --python .venv-evidently/bin/python evidently==0.7.23 'pandas<3'
	$(PYTHON) -m benchmarks.evidently_agrees --python .venv-evidently/bin/python --listings $(LISTINGS)
