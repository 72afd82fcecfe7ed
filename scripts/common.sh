# shellcheck shell=bash
# Sourced by the scripts beside it: steps that say what they do and how long it took, root where root is needed, messages with a remedy.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repo"

# nft and dockerd live in sbin, which a user's PATH lacks on Debian; the venv's tools come first so that `make` and a person run the same.
export PATH="$repo/.venv/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# Named, because Ansible ignores an ansible.cfg it finds by itself in a directory others can write to.
export ANSIBLE_CONFIG="$repo/ansible.cfg"
# Root runs Python from the user's venv: leave no files there that the user cannot remove.
export PYTHONDONTWRITEBYTECODE=1

# What a command run by sudo must still see: the way to the package indexes, and which certificates to trust on it.
kept_environment=ANSIBLE_CONFIG,PYTHONDONTWRITEBYTECODE,DOCKER_HOST,TERM,COLUMNS
kept_environment+=,MLFLOW_LOCALCLOUD_BASE_IMAGE,MLFLOW_LOCALCLOUD_HOME,MLFLOW_LOCALCLOUD_PORT
kept_environment+=,http_proxy,https_proxy,no_proxy,HTTP_PROXY,HTTPS_PROXY,NO_PROXY
kept_environment+=,SSL_CERT_FILE,SSL_CERT_DIR,REQUESTS_CA_BUNDLE,CURL_CA_BUNDLE,PIP_CERT,PIP_INDEX_URL,PIP_EXTRA_INDEX_URL,PIP_FIND_LINKS

# Where the local cloud keeps its state, as `python -m localcloud` has it.
local_cloud_home=${MLFLOW_LOCALCLOUD_HOME:-$repo/.localcloud}

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

# step TITLE COMMAND…: announce, run, tell the time it took. As with every command that is tested, `set -e` is off within: functions
# given to it end with `|| return` or `|| fail` where it matters.
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
    # sudo sets a PATH of its own, whatever it is told to keep.
    sudo --preserve-env="$kept_environment" -- env PATH="$PATH" "$@"
  else
    fail "this needs root and there is no sudo. Run it as root, or install sudo and allow it for $(id -un)."
  fi
}

# What root made and the user must be able to read, and remove.
give_back() {
  local path
  [ "$(id -u)" -ne 0 ] || return 0
  for path in "$@"; do
    [ ! -e "$path" ] || as_root chown -R "$(id -u):$(id -g)" "$path"
  done
}

# Point everything at the local cloud; credentials meant for the real one must not come along.
enter_local_cloud() {
  local exports
  unset CLOUDSDK_AUTH_ACCESS_TOKEN CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT
  exports=$(python -m localcloud env) || fail "the local cloud is not there. Start it with: make up"
  eval "$exports"
}

# The project in the environment decides which cloud is meant; without one it is the local cloud.
enter_cloud() {
  case "${GOOGLE_CLOUD_PROJECT:-${CLOUDSDK_CORE_PROJECT:-mlflow-local}}" in
    mlflow-local) enter_local_cloud ;;
  esac
}
