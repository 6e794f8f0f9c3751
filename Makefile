.DEFAULT_GOAL := help
.PHONY: help run test faults bench check setup lock licences

bootstrap := python3 deploy/bootstrap.py

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

run: ## set up and start everything here, and ask a first question
	@$(bootstrap) run

test: ## set up and run all tests; ARGS="-k sentence" goes to pytest
	@$(bootstrap) test $(ARGS)

faults: ## hurt a running Treadle in every way, by SEEDS=3 schedules; a table of what came of it
	@$(bootstrap) faults --seeds $(or $(SEEDS),3) $(ARGS)

bench: ## measure: runs a second, CPU of a run, first words; ARGS="--only streams --json figures.json"
	@$(bootstrap) bench $(ARGS)

check: ## format, lint, types, imports, dependencies, migrations, licences, known vulnerabilities
	@$(bootstrap) check

setup: ## install everything into .venv
	@$(bootstrap) setup

lock: ## write requirements.lock anew; ARGS=--upgrade takes newer versions
	@$(bootstrap) lock $(ARGS)

licences: ## write docs/licences.md anew
	@$(bootstrap) licences
