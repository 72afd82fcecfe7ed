# shellcheck shell=bash
# Functions for the scripts in this directory: steps with their duration, commands as root, error messages.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repo"

# nft and dockerd are in sbin, which is not in a user's PATH on Debian. The venv comes first, so that scripts use its tools.
export PATH="$repo/.venv/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# Ansible ignores the ansible.cfg of a world-writable directory unless this variable names the file.
export ANSIBLE_CONFIG="$repo/ansible.cfg"
# Root runs Python from the user's venv and must not write files there that the user cannot remove.
export PYTHONDONTWRITEBYTECODE=1

# Variables that sudo must pass on: settings of the local cloud, package indexes, proxies and trusted certificates.
kept_environment=ANSIBLE_CONFIG,PYTHONDONTWRITEBYTECODE,DOCKER_HOST,TERM,COLUMNS
kept_environment+=,MLFLOW_LOCALCLOUD_BASE_IMAGE,MLFLOW_LOCALCLOUD_HOME,MLFLOW_LOCALCLOUD_PORT
kept_environment+=,http_proxy,https_proxy,no_proxy,HTTP_PROXY,HTTPS_PROXY,NO_PROXY
kept_environment+=,SSL_CERT_FILE,SSL_CERT_DIR,REQUESTS_CA_BUNDLE,CURL_CA_BUNDLE,PIP_CERT,PIP_INDEX_URL,PIP_EXTRA_INDEX_URL,PIP_FIND_LINKS

# State directory of the local cloud, as in `python -m localcloud`.
local_cloud_home=${MLFLOW_LOCALCLOUD_HOME:-$repo/.localcloud}

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

# step TITLE COMMAND…: print the title, run the command, print its duration. `set -e` has no effect in the command, because `if` tests
# it: a function that is passed here must use `|| return` or `|| fail`.
step() {
  local title=$1 begun=$SECONDS
  shift
  say "==> $title"
  if "$@"; then
    say "    $title: done in $((SECONDS - begun)) s"
  else
    local code=$?
    say "    $title: FAILED after $((SECONDS - begun)) s"
    return "$code"
  fi
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    # sudo resets PATH even if --preserve-env names it.
    sudo --preserve-env="$kept_environment" -- env PATH="$PATH" "$@"
  else
    fail "this command needs root, and sudo is not installed. Run it as root, or install sudo and allow it for $(id -un)."
  fi
}

# Make the user the owner of files that root created.
give_back() {
  local path
  [ "$(id -u)" -ne 0 ] || return 0
  for path in "$@"; do
    [ ! -e "$path" ] || as_root chown -R "$(id -u):$(id -g)" "$path"
  done
}

# Select the deployment in inventory/$DEPLOYMENT (default: inventory/mlflow), and the project that its variables name.
enter_deployment() {
  local project
  if [ -n "${DEPLOYMENT:-}" ]; then
    [ -d "inventory/$DEPLOYMENT" ] || fail "there is no directory inventory/$DEPLOYMENT. Create it: cp -r inventory/mlflow inventory/$DEPLOYMENT"
    export ANSIBLE_INVENTORY="$repo/inventory/$DEPLOYMENT"
  fi
  project=$(python scripts/deployment.py project)
  [ -z "$project" ] || export GOOGLE_CLOUD_PROJECT="$project"
}

# Set the environment of the local cloud, without credentials of Google.
enter_local_cloud() {
  local exports
  unset CLOUDSDK_AUTH_ACCESS_TOKEN CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT
  exports=$(python -m localcloud env) || fail "the local cloud is not running. Start it with: make up"
  eval "$exports"
}

# Select the cloud by the project in the environment. Without a project, select the local cloud.
enter_cloud() {
  case "${GOOGLE_CLOUD_PROJECT:-${CLOUDSDK_CORE_PROJECT:-mlflow-local}}" in
    mlflow-local) enter_local_cloud ;;
  esac
}
