# AWS. The Makefile includes this.

.PHONY: aws-files check-aws-files

aws-files: $(READY) ## renew the Compose override for AWS
	@$(PYTHON) -m iac.host.override

check-aws-files: $(READY) ## fail if the override is stale
	@$(PYTHON) -m iac.host.override --check
