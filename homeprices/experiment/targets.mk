# Make targets of the experiment; included by the Makefile.

.PHONY: simulate

simulate: $(READY) ## measure the error rates of each policy; renew the table and figure of documentations/abtest.md (RUNS=2000; minutes)
	@$(PYTHON) -m benchmarks.policy_error_rates --runs $(or $(RUNS),2000)
