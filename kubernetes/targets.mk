# Kubernetes. The Makefile includes this. The checkers have a separate environment, because checkov pins other versions
# of shared packages. Manifests that passed are not checked again until a file changes.

CHECKS := .venv-checks
CHECKS_READY := $(CHECKS)/.installed-$(shell (sha256sum kubernetes/checks.lock 2>/dev/null || shasum -a 256 kubernetes/checks.lock) | cut -c1-16)
MANIFESTS := $(shell find kubernetes -type f)

.PHONY: kubernetes-check kubernetes-monitoring kubernetes-lock

lint: kubernetes-check

kubernetes-check: $(CHECKS)/.checked ## render the manifests, validate them strictly, run checkov

$(CHECKS)/.checked: $(CHECKS_READY) $(MANIFESTS)
	@$(CHECKS)/bin/python kubernetes/check.py
	@touch $@

$(CHECKS_READY): | $(READY)
	@echo "installing the checkers of the manifests into $(CHECKS)"
	@test -x $(CHECKS)/bin/python || $(UV) venv --quiet --python $(PYTHON) $(CHECKS)
	@$(UV) pip install --quiet --python $(CHECKS)/bin/python --require-hashes -r kubernetes/checks.lock
	@rm -f $(CHECKS)/.installed-*; touch $@

kubernetes-monitoring: $(READY) ## renew the manifests of the Prometheus operator from the sources that Compose reads
	@$(PYTHON) -m monitoring.kubernetes

kubernetes-lock: $(READY) ## update kubernetes/checks.lock from kubernetes/checks.in
	@$(UV) pip compile kubernetes/checks.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --quiet -o kubernetes/checks.lock
