# Make targets of the experiment; included by the Makefile.

.PHONY: simulate simulate-attack

simulate: $(READY) ## measure the error rates of each policy; renew the tables and figure of documentations/error-rates.md, segments.md and ramp.md (RUNS=2000; minutes)
	@$(PYTHON) -m benchmarks.policy_error_rates --runs $(or $(RUNS),2000)
	@$(PYTHON) -m benchmarks.policy_error_rates.segment_harm --runs $(or $(RUNS),2000)
	@$(PYTHON) -m benchmarks.policy_error_rates.ramp_cost --runs $$(( ($(or $(RUNS),2000) + 1) / 2 ))

simulate-attack: $(READY) ## measure how many networks move a decision; renew their table in documentations/evidence.md (RUNS=20 HONEST_RUNS=1000; six minutes of one core)
	@$(PYTHON) -m benchmarks.attacks --runs $(or $(RUNS),20) --honest-runs $(or $(HONEST_RUNS),1000)
