# Make targets of Docker Compose; included by the Makefile.

BACKUP ?=

.PHONY: env images test-compose compose-figures backup restore compose-config image-secrets workflows

env: ## write .env for Docker Compose with generated secrets (existing values stay)
	@python3 -m compose.make_env

images: ## build every image of the compose stack
	@sh compose/build.sh

test-compose: $(READY) ## build and start everything in Docker, run the whole loop, stop it
	@$(PYTHON) -m pytest tests/compose

compose-figures: $(READY) ## write the measurements of the last make test-compose into documentations/compose.md
	@$(PYTHON) -m compose.figures

backup: ## back up databases and bucket of the Compose stack into a new folder (BACKUP=folder; default backups/TIME)
	@sh compose/backup.sh $(BACKUP)

restore: ## restore databases and bucket of the Compose stack from BACKUP=folder
	@sh compose/restore.sh $(BACKUP)

compose-config: $(READY) ## check every combination of Compose files (if Docker Compose is available)
	@$(PYTHON) -m compose.check_config

image-secrets: $(READY) ## scan the built images for secrets (if Docker is available)
	@$(PYTHON) -m compose.scan_images


workflows: ## check the workflows of GitHub Actions (if actionlint is available)
	@if command -v actionlint >/dev/null; then actionlint && echo "workflows: accepted"; \
	else echo "workflows: not checked, there is no actionlint on this machine"; fi
