# Make targets of the benchmarks; included by the Makefile.

ROUNDS ?= 7
SECONDS_EACH ?= 8

.PHONY: bench bench-quick

bench: $(READY) ## measure beside mlflow, FastAPI, BentoML, MLServer and the classic design (quiet machine, 30 minutes)
	@$(PYTHON) -m benchmarks --rounds $(ROUNDS) --seconds $(SECONDS_EACH)

bench-quick: $(READY) ## the same in short, to see that it runs; the results go to .bench/quick
	@$(PYTHON) -m benchmarks --rounds 1 --seconds 1 --out .bench/quick
