# Make targets around the serving instances; included by the Makefile.

EXAMPLES ?= 100

.PHONY: test-contract contract

test-contract: $(READY) ## have Schemathesis try the contract on a running instance, with many examples (EXAMPLES=100)
	@CONTRACT_EXAMPLES=$(EXAMPLES) $(PYTHON) -m pytest tests/integration/inference/test_schemathesis.py

contract: $(READY) ## write inference/openapi.json anew
	@$(PYTHON) -m inference.backend.api.openapi > inference/openapi.json
