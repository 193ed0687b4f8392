# The tests that do harm, and those of other machines than a developer's. The Makefile includes this.

.PHONY: test-chaos test-full test-pythons test-newcomer

test-chaos: $(READY) ## kills, network faults, full disks, slow clients, soak, a million rows (minutes)
	@$(PYTHON) -m pytest tests/chaos

test-full: $(READY) ## the same with the full counts (hours); writes documentations/reliability.md anew
	@CHAOS=full CHAOS_RESULTS=1 $(PYTHON) -m pytest tests/chaos
	@$(PYTHON) -m tests.chaos.report

test-pythons: ## unit tests, one training and `make up` with each supported Python that this machine has
	@set -o pipefail; .ci/pythons 2>&1 | sed -u 's/^/pythons | /'

test-newcomer: ## the commands of the README, and make test, on a system that holds Python and make alone (Debian, root)
	@set -o pipefail; .ci/newcomer 2>&1 | sed -u 's/^/newcomer | /'
