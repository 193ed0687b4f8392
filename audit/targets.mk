# The supply chain. The Makefile includes this. The tools have a separate environment, because they pin other versions
# of shared packages.

COMPLETE ?=
AUDIT := .venv-audit
AUDIT_READY := $(AUDIT)/.installed-$(shell (sha256sum audit/tools.lock 2>/dev/null || shasum -a 256 audit/tools.lock) | cut -c1-16)

.PHONY: audit audit-lock pins

audit: $(AUDIT_READY) ## check pins, workflows, secrets, licences and known vulnerabilities; write the SBOM (COMPLETE=1: all must run)
	@$(PYTHON) -m audit $(if $(COMPLETE),--complete)

pins: $(READY) ## renew the digests of images and the commits of actions (needs their registries and GitHub)
	@$(PYTHON) -m audit.renew

$(AUDIT_READY): | $(READY)
	@echo "installing the tools of the audit into $(AUDIT)"
	@test -x $(AUDIT)/bin/python || $(UV) venv --quiet --python $(PYTHON) $(AUDIT)
	@$(UV) pip install --quiet --python $(AUDIT)/bin/python --require-hashes -r audit/tools.lock
	@rm -f $(AUDIT)/.installed-*; touch $@

audit-lock: $(READY) ## update audit/tools.lock from audit/tools.in
	@$(UV) pip compile audit/tools.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --quiet -o audit/tools.lock
