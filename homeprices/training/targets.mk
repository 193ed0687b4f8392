# Models. The Makefile includes this; PYTHON is the interpreter of the project's environment.
TRAIN ?=
TEST ?=
INPUTS ?= form
EFFORT ?= full
# Listings that somebody named: other parts give LISTINGS a default of their own.
NAMED_LISTINGS = $(if $(filter command environment,$(origin LISTINGS)),--listings $(LISTINGS))

.PHONY: model-table evaluate-model model-quality benchmark-estimate

model-table: $(READY) ## write the comparison of estimators anew into documentations/models.md (LISTINGS=path.csv for real ones)
	@$(PYTHON) -m homeprices training compare $(NAMED_LISTINGS) --page documentations/models.md

model-quality: $(READY) ## errors, coverage, seconds and memory over five divisions of a file (LISTINGS=path.csv EFFORT=full)
	@test -n "$(NAMED_LISTINGS)" || { echo "say of which listings: make model-quality LISTINGS=path.csv" >&2; exit 2; }
	@$(PYTHON) -m benchmarks.model_quality $(NAMED_LISTINGS) --effort $(EFFORT) \
		--out benchmarks/results/model_quality_$(EFFORT).json

benchmark-estimate: $(READY) ## what one estimate costs on one core, beside scikit-learn (LISTINGS=path.csv EFFORT=full)
	@$(PYTHON) -m benchmarks.estimate $(NAMED_LISTINGS) --effort $(EFFORT) --out benchmarks/results/estimate.json

evaluate-model: $(READY) ## train on one file and score another: make evaluate-model TRAIN=a.csv TEST=b.csv INPUTS=form
	@test -n "$(TRAIN)" -a -n "$(TEST)" || { echo "say on which files: make evaluate-model TRAIN=a.csv TEST=b.csv" >&2; exit 2; }
	@$(PYTHON) -m homeprices training evaluate --train $(TRAIN) --test $(TEST) --inputs $(INPUTS)
