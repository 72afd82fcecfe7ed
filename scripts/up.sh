#!/usr/bin/env bash
# From a bare machine to a running MLflow on the local cloud. Every step can be repeated; what is done already costs seconds.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
begun=$SECONDS

local_cloud() {
  local profile=()
  [ -z "${PROFILE:-}" ] || profile=(--profile "$PROFILE" --scale "${SCALE:-1}")
  as_root "$repo/.venv/bin/python" -m localcloud up "${profile[@]}" || return
  # The user's tools read the credentials; all else in there is root's.
  [ "$(id -u)" -eq 0 ] || as_root chown "$(id -u)" "$local_cloud_home" "$local_cloud_home/credentials.json"
}

scripts/install.sh
step "Local cloud (Docker engine, machine image, APIs)" local_cloud
enter_local_cloud
step "MLflow on it (ansible-playbook site.yml)" ansible-playbook site.yml
say "    everything: done in $((SECONDS - begun)) s"
say ""
exec python scripts/deployment.py summary
