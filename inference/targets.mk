# Make targets around the serving instances; included by the Makefile.

EXAMPLES ?= 100

.PHONY: test-contract contract inputs

test-contract: $(READY) ## have Schemathesis try the contract on a running instance, with many examples (EXAMPLES=100)
	@CONTRACT_EXAMPLES=$(EXAMPLES) $(PYTHON) -m pytest tests/integration/inference/test_schemathesis.py

contract: $(READY) ## write inference/openapi.json again
	@$(PYTHON) -m inference.backend.api.openapi > inference/openapi.json

inputs: $(READY) ## write what is generated from the declared inputs: the form's fields, inference/openapi.json, the table in the documents
	@$(PYTHON) -m inference.generated
