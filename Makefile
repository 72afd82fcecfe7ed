# The few commands a person types. Each one is a script in scripts/ or a single command; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The venv's tools first; Ansible must not care who may write to this directory.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

# Settings a person may give on the command line, all optional:
#   PYTHON=/path/to/python3         what to build .venv with
#   GOOGLE_CLOUD_PROJECT=project    the project that status, url, password and snippet ask; without it, the local cloud's
#   PROFILE=google SCALE=0.1        for up: latencies and propagation delays of Google, times 0.1 (default: 1)
#   NAME=mlflow                     the deployment in it (infrastructure_name)

LINTS := lint-ansible lint-yaml lint-python lint-types lint-shell lint-changelog lint-docs lint-sanity

##@ Use
.PHONY: up
up: ## bring up MLflow on the local cloud, from a bare machine
	@PROFILE="$(PROFILE)" SCALE="$(SCALE)" scripts/up.sh

.PHONY: down
down: ## remove all that `make up` made, and only that
	@scripts/down.sh

.PHONY: status
status: ## tell what runs and whether MLflow answers
	@scripts/status.sh

.PHONY: url password snippet
url: ## print the https URL
	@scripts/with-cloud.sh python scripts/deployment.py url
password: ## print the administrator's password
	@scripts/with-cloud.sh python scripts/deployment.py password
snippet: ## print Python that logs a run: make -s snippet | .venv/bin/python -
	@scripts/with-cloud.sh python scripts/deployment.py snippet

.PHONY: verify-on-google
verify-on-google: installed ## check GOOGLE_CLOUD_PROJECT and write a report; VERIFY_CREATE=1 also builds and destroys
	@python scripts/verify_on_google.py

.PHONY: env
env: ## print the exports that lead gcloud and clients to the local cloud: eval "$(make -s env)"
	@[ -x .venv/bin/python ] || { echo 'error: nothing is installed yet. Start with: make up' >&2; exit 1; }
	@python -m localcloud env

.PHONY: install
install: ## install what is missing: Debian packages, .venv
	@scripts/install.sh

.PHONY: clean
clean: ## down, then remove .venv and caches too
	@scripts/clean.sh

##@ Check
.PHONY: test
test: ## lint and every test; ends with pytest's summary
	@scripts/test.sh

.PHONY: lint $(LINTS)
lint: installed ## every linter, all of them even if one fails
	@$(MAKE) -j2 -k --output-sync=target $(LINTS)

.PHONY: lint-list
lint-list:
	@echo $(LINTS)

lint-ansible: installed
	ansible-lint
lint-yaml: installed
	yamllint --strict .
lint-python: installed
	ruff check .
	ruff format --check .
lint-types: installed
	mypy
	mypy scripts/*.py
lint-shell: installed
	@for script in scripts/*.sh .ci/run; do bash -n "$$script" || exit 1; done
lint-changelog: installed
	antsibull-changelog lint
lint-docs: installed
	scripts/lint-docs.sh
lint-sanity: installed
	scripts/lint-sanity.sh

.PHONY: test-unit test-localcloud test-molecule test-e2e
test-unit: installed ## tests of plugins, without any cloud
	pytest tests/unit
test-localcloud: ## tests of the local cloud
	@scripts/test.sh tests/localcloud
test-molecule: ## the roles in a container: molecule test
	@scripts/test.sh tests/test_molecule.py
test-e2e: ## site.yml on the local cloud, real clients, a browser
	@scripts/test.sh tests/e2e

.PHONY: bench
bench: ## measure an upgrade with 100,000 runs and 200 switches under load: make bench RUNS=5000 SWITCHES=20
	@RUNS="$(RUNS)" SWITCHES="$(SWITCHES)" scripts/bench.sh

.PHONY: installed
installed:
	@scripts/install.sh python

##@ Maintain
.PHONY: lock
lock: installed ## write requirements.lock anew from pyproject.toml
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --group localcloud --group test --python-version 3.11 pyproject.toml -o requirements.lock

.PHONY: docs
docs: installed ## render every plugin's and role's reference as text to artifacts/docs
	@scripts/docs.sh

.PHONY: dist
dist: installed ## build the collection's artifact to dist/
	ansible-galaxy collection build --force --output-path dist .

.PHONY: help
help: ## list these commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
