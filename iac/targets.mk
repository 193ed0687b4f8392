# AWS. The Makefile includes this.

.PHONY: aws-files check-aws-files

aws-files: $(READY) ## write anew how the compose files differ on AWS
	@$(PYTHON) -m iac.host.override

check-aws-files: $(READY) ## fail when one of these is stale
	@$(PYTHON) -m iac.host.override --check
