# Make targets of the experiment; included by the Makefile.

.PHONY: simulate simulate-attack

simulate: $(READY) ## measure the error rates of each policy; renew the table and figure of documentations/abtest.md (RUNS=2000; minutes)
	@$(PYTHON) -m benchmarks.policy_error_rates --runs $(or $(RUNS),2000)

simulate-attack: $(READY) ## measure how many networks move a decision; renew their table in documentations/abtest.md (RUNS=20 HONEST_RUNS=1000; six minutes of one core)
	@$(PYTHON) -m benchmarks.attacks --runs $(or $(RUNS),20) --honest-runs $(or $(HONEST_RUNS),1000)
