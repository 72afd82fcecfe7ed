# Commands for users and developers. Each command is a script in scripts/ or one command line. `make help` lists all commands.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The tools of .venv come first. With ANSIBLE_CONFIG Ansible reads ansible.cfg in a world-writable directory too.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

# Optional variables on the command line:
#   PYTHON=/path/to/python3         the Python for .venv
#   GOOGLE_CLOUD_PROJECT=project    the project of the deployment (default: the project of the local cloud)
#   AUTH=oauth2_proxy               for up: people sign in with test accounts of the local cloud
#   ACME=pebble                     for up: a certificate of the local cloud's ACME directory, for HOSTNAME=mlflow.example.test
#   PROFILE=google SCALE=0.1        for up: latencies and propagation delays of Google, times 0.1 (default: 1)
#   DEPLOYMENT=mlflow               the deployment for plan, status, url, password and snippet: a directory in inventory/

LINTS := lint-ansible lint-yaml lint-python lint-types lint-shell lint-changelog lint-docs lint-sanity
SCENARIOS := molecule-default molecule-schedule

##@ Use
.PHONY: up
up: ## install missing packages and deploy MLflow on the local cloud
	@AUTH="$(AUTH)" ACME="$(ACME)" PROFILE="$(PROFILE)" SCALE="$(SCALE)" \
	  NAME_OF_SERVER="$(if $(filter command,$(origin HOSTNAME)),$(HOSTNAME))" scripts/up.sh

.PHONY: browse
browse: ## open the deployment of `make up AUTH=oauth2_proxy` in Chromium, which reaches the local cloud as Google
	@scripts/browse.sh

.PHONY: down
down: ## remove everything that `make up` created, and nothing else
	@scripts/down.sh

.PHONY: plan
plan: ## list the resources that site.yml would create, change or delete
	@scripts/with-cloud.sh python scripts/plan.py

.PHONY: status
status: ## show the running parts, and whether MLflow answers
	@scripts/status.sh

.PHONY: url password snippet
url: ## print the https URL
	@scripts/with-cloud.sh python scripts/deployment.py url
password: ## print the administrator's password
	@scripts/with-cloud.sh python scripts/deployment.py password
snippet: ## print Python code that logs a run: make -s snippet | .venv/bin/python -
	@scripts/with-cloud.sh python scripts/deployment.py snippet

.PHONY: verify-on-google
verify-on-google: installed ## check GOOGLE_CLOUD_PROJECT and write a report; VERIFY_CREATE=1 also builds and destroys
	@python scripts/verify_on_google.py

.PHONY: env
env: ## print the environment of gcloud and clients for the local cloud: eval "$(make -s env)"
	@[ -x .venv/bin/python ] || { echo 'error: .venv is not installed. Run: make up' >&2; exit 1; }
	@python -m localcloud env

.PHONY: install
install: ## install missing Debian packages and .venv
	@scripts/install.sh

.PHONY: clean
clean: ## run down, then remove .venv and caches
	@scripts/clean.sh

##@ Check
.PHONY: check
check: installed ## run lint and unit tests, except those that run playbooks: no root, no Docker engine
	@$(MAKE) -j2 -k --output-sync=target $(LINTS) test-unit

# The engine's tests need the host's network exclusively. The end-to-end tests start the local cloud after them.
.PHONY: test
test: ## run all checks; ends with "N passed, N failed"
	@scripts/test.sh engine "$(LINTS) unit front-end unit-container playbooks" "$(SCENARIOS) localcloud" -- e2e e2e-upgrade

.PHONY: lint $(LINTS)
lint: installed ## run all linters, even if one fails
	@$(MAKE) -j2 -k --output-sync=target $(LINTS)

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
	mypy --config-file clients/python/pyproject.toml
lint-shell: installed
	@for script in scripts/*.sh .ci/run; do bash -n "$$script" || exit 1; done
lint-changelog: installed
	antsibull-changelog lint
lint-docs: installed
	scripts/lint-docs.sh
lint-sanity: installed
	scripts/lint-sanity.sh

.PHONY: test-unit test-roles test-front-end test-localcloud test-molecule test-e2e test-long
test-unit: installed ## test plugins and programs without a cloud
	pytest -n auto --dist loadfile -m "not server" tests/unit clients/python/tests --ignore tests/unit/roles
test-roles: installed ## test the tasks of roles with ansible-playbook and fake modules, without a cloud
	pytest -n auto --dist loadfile tests/unit/roles
test-front-end: installed ## test nginx with OAuth2-Proxy on the loopback interface: no root, no Docker engine
	pytest tests/front_end --ignore tests/front_end/long
test-localcloud: ## test the local cloud, and the playbooks on a local cloud in memory
	@scripts/test.sh engine "localcloud playbooks"
test-molecule: ## test the roles in containers with molecule
	@scripts/test.sh "$(SCENARIOS) molecule-upgrade"
test-e2e: ## test the playbooks on the local cloud with real clients and a browser
	@scripts/test.sh e2e e2e-upgrade
test-long: ## test what takes hours: two deployments side by side, single sign-on, failures of an upgrade, runs killed at each call
	@scripts/test.sh e2e-long "front-end-long molecule-upgrade playbooks-long"

.PHONY: bench
bench: ## measure an upgrade with 100,000 runs and 200 cutovers under load: make bench RUNS=5000 SWITCHES=20
	@RUNS="$(RUNS)" SWITCHES="$(SWITCHES)" scripts/bench.sh

.PHONY: installed
installed:
	@scripts/install.sh python

##@ Maintain
.PHONY: lock
lock: installed ## compile requirements.lock from pyproject.toml; UPGRADE=--upgrade updates all libraries
	uv pip compile --quiet $(UPGRADE) --universal --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --group localcloud --group test --python-version 3.11 pyproject.toml -o requirements.lock

.PHONY: docs
docs: installed ## write the reference of all plugins and roles as text to artifacts/docs
	@scripts/docs.sh

.PHONY: role-docs
role-docs: installed ## write the tables of role variables in roles/*/README.md
	@python scripts/role_docs.py

.PHONY: dist
dist: installed ## build the artifact of the collection in dist/
	ansible-galaxy collection build --force --output-path dist .

.PHONY: help
help: ## list all commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
