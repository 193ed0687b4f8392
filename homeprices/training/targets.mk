# Models. The Makefile includes this; PYTHON is the interpreter of the project's environment.
TRAIN ?=
TEST ?=
INPUTS ?= form
EFFORT ?= full
# LISTINGS only where the caller sets it: other included files give it a default.
NAMED_LISTINGS = $(if $(filter command environment,$(origin LISTINGS)),--listings $(LISTINGS))

.PHONY: model-table evaluate-model model-quality benchmark-estimate benchmark-place-prices

model-table: $(READY) ## renew the comparison of estimators in documentations/models.md (LISTINGS=path.csv for real listings)
	@$(PYTHON) -m homeprices training compare $(NAMED_LISTINGS) --page documentations/models.md

model-quality: $(READY) ## errors, coverage, seconds and memory over five splits of a file (LISTINGS=path.csv EFFORT=full)
	@test -n "$(NAMED_LISTINGS)" || { echo "LISTINGS is missing: make model-quality LISTINGS=path.csv" >&2; exit 2; }
	@$(PYTHON) -m benchmarks.model_quality $(NAMED_LISTINGS) --effort $(EFFORT) \
		--out benchmarks/results/model_quality_$(EFFORT).json

benchmark-estimate: $(READY) ## time of one prediction on one core, compared with scikit-learn (LISTINGS=path.csv EFFORT=full)
	@$(PYTHON) -m benchmarks.estimate $(NAMED_LISTINGS) --effort $(EFFORT) --out benchmarks/results/estimate.json

benchmark-place-prices: $(READY) ## errors on the newest listings with and without place prices (LISTINGS=path.csv with listed_on)
	@$(PYTHON) -m benchmarks.place_prices $(NAMED_LISTINGS) --out benchmarks/results/place_prices.json

evaluate-model: $(READY) ## train on one file and score another: make evaluate-model TRAIN=a.csv TEST=b.csv INPUTS=form
	@test -n "$(TRAIN)" -a -n "$(TEST)" || { echo "TRAIN or TEST is missing: make evaluate-model TRAIN=a.csv TEST=b.csv" >&2; exit 2; }
	@$(PYTHON) -m homeprices training evaluate --train $(TRAIN) --test $(TEST) --inputs $(INPUTS)
