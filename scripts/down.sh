#!/usr/bin/env bash
# Remove everything that `make up` created: VMs, databases, networks, firewall table, images, the local cloud's state, the files of its
# deployment, and the Docker engine if `make up` started it. Debian packages and .venv stay installed; `make clean` removes .venv too.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Refuse arguments: Ansible runs every program in a directory that it takes for an inventory, with arguments such as --list.
[ $# -eq 0 ] || fail "$(basename "$0") takes no arguments, but got: $*. Nothing was removed"

local_cloud_down() {
  local state
  as_root "$repo/.venv/bin/python" -m localcloud down || return
  # The keys and certificates of the deployment are useless without the local cloud. Remove this directory only: the directory of a
  # project on Google may begin with the same letters. `make up` ignores DEPLOYMENT, so ignore it here too.
  state=$(env -u DEPLOYMENT GOOGLE_CLOUD_PROJECT=mlflow-local python scripts/deployment.py state) || return
  rm -rf "$state"
}

[ -x .venv/bin/python ] || fail "there is no .venv, so 'make up' was not run in this directory"
step "Remove the local cloud" local_cloud_down
