#!/usr/bin/env bash
# Install the packages, start the local cloud and deploy MLflow on it. Every step can be repeated; a completed step takes seconds.
# AUTH=oauth2_proxy deploys inventory/demo: people sign in with test accounts of the local cloud.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
begun=$SECONDS
case ${AUTH:-basic} in
  basic) unset DEPLOYMENT ;; # The local cloud gets the default deployment.
  oauth2_proxy) export DEPLOYMENT=demo ;;
  *) fail "AUTH is $AUTH. Set it to basic (default) or oauth2_proxy. Nothing was changed" ;;
esac

local_cloud() {
  local profile=()
  [ -z "${PROFILE:-}" ] || profile=(--profile "$PROFILE" --scale "${SCALE:-1}")
  as_root "$repo/.venv/bin/python" -m localcloud up "${profile[@]}" || return
  # The user's tools read the credentials. All other files in the directory belong to root.
  [ "$(id -u)" -eq 0 ] || as_root chown "$(id -u)" "$local_cloud_home" "$local_cloud_home/credentials.json"
}

# At Google, a person creates the OAuth client in the console. inventory/demo reads ID and secret from the file.
oauth_client() {
  local file=$local_cloud_home/oauth-client.json url
  url=$(python scripts/deployment.py url) || return
  (umask 077 && python -m localcloud client mlflow --redirect-uri "$url/oauth2/callback" --origin "$url" >"$file.new") || return
  mv "$file.new" "$file"
}

scripts/install.sh
step "Local cloud (Docker engine, VM image, APIs)" local_cloud
[ -z "${DEPLOYMENT:-}" ] || enter_deployment
enter_local_cloud
[ -z "${DEPLOYMENT:-}" ] || step "Client package (clients/python)" .venv/bin/uv pip install --quiet --system-certs --python .venv/bin/python --no-deps ./clients/python
[ -z "${DEPLOYMENT:-}" ] || step "OAuth client at accounts.google.com of the local cloud" oauth_client
step "MLflow on the local cloud (ansible-playbook site.yml)" ansible-playbook site.yml
say "    all steps: done in $((SECONDS - begun)) s"
say ""
python scripts/deployment.py summary
[ -z "${DEPLOYMENT:-}" ] || scripts/browse.sh --explain
