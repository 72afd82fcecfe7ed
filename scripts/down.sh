#!/usr/bin/env bash
# Removes what `make up` made: machines, databases, networks, firewall table, images, the local cloud's state, its deployment's files,
# a Docker engine that it started. What it installed (Debian packages, .venv) stays for the next time; `make clean` removes .venv too.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Whoever calls it with arguments means something else, such as Ansible, which runs the programs of a directory it takes for an inventory.
[ $# -eq 0 ] || fail "$(basename "$0") takes no arguments and removes a lot; these were given: $*"

local_cloud_down() {
  local state
  as_root "$repo/.venv/bin/python" -m localcloud down || return
  # The deployment's keys and certificates are worth nothing without the local cloud. Only that directory: one of a project on Google
  # may begin with the same letters. NAME is for `make url` and the like; `make up` does not know it.
  state=$(env -u NAME GOOGLE_CLOUD_PROJECT=mlflow-local python scripts/deployment.py state) || return
  rm -rf "$state"
}

[ -x .venv/bin/python ] || fail "there is no .venv, so nothing was started from here"
step "Local cloud down" local_cloud_down
