#!/usr/bin/env bash
# Removes what `make up` made: machines, databases, networks, firewall table, images, the local cloud's state, its deployment's files,
# a Docker engine that it started. What it installed (Debian packages, .venv) stays for the next time; `make clean` removes .venv too.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Whoever calls it with arguments means something else, such as Ansible, which runs the programs of a directory it takes for an inventory.
[ $# -eq 0 ] || fail "$(basename "$0") takes no arguments and removes a lot; these were given: $*"

local_cloud_down() {
  as_root "$repo/.venv/bin/python" -m localcloud down || return
  # The keys and certificates of deployments on the local cloud are worth nothing without it.
  rm -rf "${MLFLOW_GCP_STATE_DIRECTORY:-${XDG_STATE_HOME:-$HOME/.local/state}/mlflow-gcp}"/mlflow-local-*
}

[ -x .venv/bin/python ] || fail "there is no .venv, so nothing was started from here"
step "Local cloud down" local_cloud_down
