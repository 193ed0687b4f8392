# The tests that do harm: kills, faults of the network, full disks, slow clients, soak, millions of rows.

.PHONY: test-chaos test-full

test-chaos: $(READY) ## kills, network faults, full disks, slow clients, soak, a million rows (minutes)
	@$(PYTHON) -m pytest tests/chaos

test-full: $(READY) ## the same with the full counts (hours); writes documentations/reliability.md anew
	@CHAOS=full CHAOS_RESULTS=1 $(PYTHON) -m pytest tests/chaos
	@$(PYTHON) -m tests.chaos.report
