#!/usr/bin/env bash
# Install the packages, start the local cloud and deploy MLflow on it. Every step can be repeated; a completed step takes seconds.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
begun=$SECONDS
unset DEPLOYMENT  # The local cloud gets the default deployment.

local_cloud() {
  local profile=()
  [ -z "${PROFILE:-}" ] || profile=(--profile "$PROFILE" --scale "${SCALE:-1}")
  as_root "$repo/.venv/bin/python" -m localcloud up "${profile[@]}" || return
  # The user's tools read the credentials. All other files in the directory belong to root.
  [ "$(id -u)" -eq 0 ] || as_root chown "$(id -u)" "$local_cloud_home" "$local_cloud_home/credentials.json"
}

scripts/install.sh
step "Local cloud (Docker engine, VM image, APIs)" local_cloud
enter_local_cloud
step "MLflow on the local cloud (ansible-playbook site.yml)" ansible-playbook site.yml
say "    all steps: done in $((SECONDS - begun)) s"
say ""
exec python scripts/deployment.py summary
