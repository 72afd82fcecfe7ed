#!/usr/bin/env bash
# Install the packages, start the local cloud and deploy MLflow on it. Every step can be repeated; a completed step takes seconds.
# AUTH=oauth2_proxy deploys inventory/demo: people sign in with test accounts of the local cloud.
# ACME=pebble deploys inventory/acme: the certificate is from the ACME directory of the local cloud.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
begun=$SECONDS
case ${AUTH:-basic},${ACME:-} in
  basic,) unset DEPLOYMENT ;; # The local cloud gets the default deployment.
  basic,pebble) export DEPLOYMENT=acme ;;
  *,?*) fail "ACME is $ACME and AUTH is ${AUTH:-basic}. Set ACME to pebble, and do not set AUTH with it. Nothing was changed" ;;
  oauth2_proxy,) export DEPLOYMENT=demo ;;
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

# The VM and its clients trust these CA certificates. A restart of the local cloud creates a new CA of the directory.
acme_directory() {
  as_root "$repo/.venv/bin/python" -m localcloud acme >"$local_cloud_home/acme-ca.pem.new" || return
  mv "$local_cloud_home/acme-ca.pem.new" "$local_cloud_home/acme-ca.pem" || return
  ansible localhost -m mlops.mlflow_gcp.gcp_services -a "project=mlflow-local services=dns.googleapis.com" >/dev/null || return
  ansible localhost -m mlops.mlflow_gcp.gcp_dns_zone -a "project=mlflow-local name=example-test dns_name=example.test. description=Tests" >/dev/null
}

scripts/install.sh ${ACME:+acme}
step "Local cloud (Docker engine, VM image, APIs)" local_cloud
[ -z "${DEPLOYMENT:-}" ] || enter_deployment
enter_local_cloud
if [ -n "${ACME:-}" ]; then
  name=$(python -c 'import yaml; print(yaml.safe_load(open("inventory/acme/group_vars/all.yml"))["deployment_hostname"])')
  [ "${NAME_OF_SERVER:-$name}" = "$name" ] || fail "HOSTNAME is $NAME_OF_SERVER, but inventory/acme/group_vars/all.yml names $name. Change one of them"
  step "ACME directory and DNS zone of the local cloud" acme_directory
fi
[ "${DEPLOYMENT:-}" != demo ] || step "Client package (clients/python)" .venv/bin/uv pip install --quiet --system-certs --python .venv/bin/python --no-deps ./clients/python
[ "${DEPLOYMENT:-}" != demo ] || step "OAuth client at accounts.google.com of the local cloud" oauth_client
step "MLflow on the local cloud (ansible-playbook site.yml)" ansible-playbook site.yml
say "    all steps: done in $((SECONDS - begun)) s"
say ""
python scripts/deployment.py summary
[ "${DEPLOYMENT:-}" != demo ] || scripts/browse.sh --explain
