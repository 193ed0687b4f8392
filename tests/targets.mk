# Tests that inject faults, and tests of other environments. The Makefile includes this.

.PHONY: mutants test-durations test-chaos test-full test-pythons test-newcomer

test-durations: $(READY) ## all tests, and the tables of durations in documentations/automated-testing.md
	@rm -rf build/durations
	@DURATIONS="$(CURDIR)/build/durations" $(PYTHON) tests/run_tests.py
	@$(PYTHON) -m tests.support.durations build/durations

mutants: $(READY) ## change the modules that decide, one operator at a time, and run their tests (MODULES=path.py)
	@$(PYTHON) -m tests.support.mutants $(MODULES)

test-chaos: $(READY) ## kills, network faults, full disks, slow clients, hostile requests, soak, a million rows; prints what it measured (minutes)
	@$(PYTHON) -m pytest tests/chaos

test-full: $(READY) ## the same with the full counts (hours); renews documentations/reliability.md
	@CHAOS=full CHAOS_RESULTS=1 $(PYTHON) -m pytest tests/chaos
	@$(PYTHON) -m tests.chaos.report

test-pythons: ## unit tests, one training and `make up` with each supported Python on this machine
	@set -o pipefail; .ci/pythons 2>&1 | sed -u 's/^/pythons | /'

test-newcomer: ## the README's commands and make test on a system with only Python and make (Debian, root)
	@set -o pipefail; .ci/newcomer 2>&1 | sed -u 's/^/newcomer | /'
