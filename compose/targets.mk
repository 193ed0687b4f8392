# Make targets around Docker Compose; included by the Makefile.

BACKUP ?=

.PHONY: env images test-compose compose-figures backup restore compose-config image-secrets workflows

env: ## write .env for Docker Compose with generated secrets (what it already says stays)
	@python3 compose/make_env.py

images: ## build every image of the compose stack
	@sh compose/build.sh

test-compose: $(READY) ## build and start everything in Docker, run the whole loop, take it down
	@$(PYTHON) -m pytest tests/compose

compose-figures: $(READY) ## write what the last make test-compose measured into documentations/compose.md
	@$(PYTHON) -m compose.figures

backup: ## databases and bucket of the compose stack, into a new folder (BACKUP=folder; default backups/TIME)
	@sh compose/backup.sh $(BACKUP)

restore: ## make databases and bucket of the compose stack what BACKUP=folder says
	@sh compose/restore.sh $(BACKUP)

compose-config: $(READY) ## check every combination of compose files (where Docker Compose is)
	@$(PYTHON) -m compose.check_config

image-secrets: $(READY) ## look for secrets in the images that were built (where Docker is)
	@$(PYTHON) -m compose.scan_images


workflows: ## check the workflows of GitHub Actions (where actionlint is)
	@if command -v actionlint >/dev/null; then actionlint && echo "workflows: accepted"; \
	else echo "workflows: not checked, there is no actionlint on this machine"; fi
