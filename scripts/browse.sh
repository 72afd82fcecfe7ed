#!/usr/bin/env bash
# Open the deployment of `make up AUTH=oauth2_proxy` in Chromium with a temporary profile. Only this browser resolves the names
# mlflow.example.com and accounts.google.com to the local cloud, and trusts its certificates. All other programs still reach Google.
#   scripts/browse.sh              open the browser
#   scripts/browse.sh --print      print the command line
#   scripts/browse.sh --explain    print URL, test accounts and names
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export DEPLOYMENT=demo

[ -x .venv/bin/python ] || fail "there is no .venv. Start with: make up AUTH=oauth2_proxy"
enter_deployment
enter_local_cloud
url=$(python scripts/deployment.py url)
address=$(python scripts/deployment.py address)
ca=$(python scripts/deployment.py ca)

explain() {
  local accounts google
  accounts=$(python -m localcloud users) || return
  google=$(python -c 'from localcloud.engine.nft_network import PORTS; print(f"{PORTS.host}, port {PORTS.api}")') || return
  cat <<TEXT

Sign in with a test account. There is no password.

  URL        $url
  browser    make browse

${accounts}

mlflow_identity_domains and mlflow_identity_admins in inventory/demo/group_vars/all.yml name the accounts that may sign in, and the administrators.
Accounts are added and removed with admin requests of the local cloud: localcloud/README.md.

The names do not exist outside of the local cloud. For other programs on this host than \`make browse\`:

  ${url#https://} is $address; its CA is $ca
  accounts.google.com is $google; its CA is $local_cloud_home/ca/ca.crt

A line in /etc/hosts is enough for the doctor and for clients with a password or an identity token: $address ${url#https://}
Do not add accounts.google.com to /etc/hosts: no program on this host could then sign in at Google.
TEXT
}

command_line() {
  local chromium options
  chromium=$(scripts/browser.sh) || return
  # Root owns the certificates of the local cloud.
  options=$(as_root "$repo/.venv/bin/python" -m localcloud browser --site "${url#https://}=$address" --ca "$ca") || return
  # Chromium trusts the keys in the options only in a profile that is named on the command line.
  printf '%q --user-data-dir=%q --no-first-run %s' "$chromium" "$1" "$options"
  # Chromium refuses to run its sandbox as root.
  [ "$(id -u)" -ne 0 ] || printf ' --no-sandbox'
  printf ' %q\n' "$url"
}

case ${1:-} in
  --explain) explain ;;
  --print) command_line /tmp/mlflow-browser ;;
  '')
    profile=$(mktemp -d)
    trap 'rm -rf "$profile"' EXIT
    line=$(command_line "$profile")
    eval "$line"
    ;;
  *) fail "$(basename "$0") takes --print or --explain, but got: $*" ;;
esac
