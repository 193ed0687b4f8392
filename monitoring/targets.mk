# Monitoring. The Makefile includes this; PYTHON is the interpreter of the project's environment.
PYTHON ?= .venv/bin/python
PROMTOOL ?= promtool
PROMETHEUS ?= http://127.0.0.1:9090
MINUTES ?= 60

.PHONY: dashboards check-dashboards test-rules monitoring-pictures

dashboards: ## renew the generated files: SLO rules, Prometheus configuration, Grafana dashboards
	$(PYTHON) -m monitoring.slo
	$(PYTHON) -m monitoring.scrape_config
	$(PYTHON) -m monitoring.grafana.build

check-dashboards: ## fail if a generated file is stale
	$(PYTHON) -m monitoring.slo --check
	$(PYTHON) -m monitoring.scrape_config --check
	$(PYTHON) -m monitoring.grafana.build --check

test-rules: ## check and test the alerting rules (promtool)
	$(PROMTOOL) check rules monitoring/rules/*.yml
	$(PROMTOOL) test rules monitoring/rules/tests/*.yml

monitoring-pictures: ## draw the dashboards of a running stack into documentations/pictures (MINUTES=60, PROMETHEUS=url)
	$(PYTHON) -m monitoring.grafana.pictures --prometheus $(PROMETHEUS) --minutes $(MINUTES)
