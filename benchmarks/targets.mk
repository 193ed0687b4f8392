# Make targets of the benchmarks; included by the Makefile.

ROUNDS ?= 7
SECONDS_EACH ?= 8

.PHONY: bench bench-quick benchmark-metric-files benchmark-keys

bench: $(READY) ## compare with mlflow, FastAPI, BentoML, MLServer and the classic design (idle machine, 30 minutes)
	@$(PYTHON) -m benchmarks --rounds $(ROUNDS) --seconds $(SECONDS_EACH)

bench-quick: $(READY) ## a short run that only checks the benchmark; results go to .bench/quick
	@$(PYTHON) -m benchmarks --rounds 1 --seconds 1 --out .bench/quick

benchmark-metric-files: ## time of a scrape after 3,000 killed workers, compared with one after none (DEAD=3000)
	$(PYTHON) -m benchmarks.metric_files --dead $(or $(DEAD),3000) --out benchmarks/results/metric_files.json

benchmark-keys: $(READY) ## time of the check of an API key, and requests/s with and without one (ROUNDS=7 SECONDS_EACH=8)
	$(PYTHON) -m benchmarks.keys --rounds $(ROUNDS) --seconds $(SECONDS_EACH) --out benchmarks/results/keys.json
