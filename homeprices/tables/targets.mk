# Reading of tables. The Makefile includes this; PYTHON is the interpreter of the project's environment.
PYTHON ?= .venv/bin/python

.PHONY: file-answers

file-answers: $(READY) ## renew the tables of documentations/files.md: the answer of every entry point to every kind of file
	@$(PYTHON) -m tests.contract.file_answers
