# AWS. The Makefile includes this.

.PHONY: aws-files check-aws-files

aws-files: $(READY) ## renew the Compose override for AWS, and the identities of the bucket
	@$(PYTHON) -m iac.host.override
	@$(PYTHON) -m compose.bucket_rights

check-aws-files: $(READY) ## fail if one of them is stale
	@$(PYTHON) -m iac.host.override --check
	@$(PYTHON) -m compose.bucket_rights --check
