# Make targets around the serving instances; included by the Makefile.

EXAMPLES ?= 100

.PHONY: test-contract contract inputs

test-contract: $(READY) ## test the contract of a running instance with Schemathesis (EXAMPLES=100)
	@CONTRACT_EXAMPLES=$(EXAMPLES) $(PYTHON) -m pytest tests/integration/inference/test_schemathesis.py

contract: $(READY) ## renew inference/openapi.json
	@$(PYTHON) -m inference.backend.api.openapi > inference/openapi.json

inputs: $(READY) ## renew what is generated from the declared inputs: form, inference/openapi.json, documents
	@$(PYTHON) -m inference.generated
