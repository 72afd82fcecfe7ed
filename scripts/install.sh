#!/usr/bin/env bash
# Installs what is missing on a bare Debian or Ubuntu machine, and nothing that is there: Debian packages, then the venv from the lock.
#   scripts/install.sh          the venv only needs Python, the local cloud needs the rest
#   scripts/install.sh test     the browser of the end-to-end tests as well
#   scripts/install.sh python   the venv alone (lint and unit tests need no engine)
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
purpose=${1:-up}

supported() { "$1" -c 'import sys; sys.exit(not sys.version_info >= (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && supported "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  fail "no Python 3.11 or newer found (python3 is $(python3 --version 2>&1 || echo missing)). Install one, for example" \
    "'apt-get install python3.11 python3.11-venv', or name it: make PYTHON=/path/to/python3 up"
}

missing=()
# need PACKAGE CHECK…: the package is wanted if the check fails. Checks look for the thing itself, however it was installed.
need() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}

engine_present() {
  [ -n "${DOCKER_HOST:-}" ] || command -v dockerd || { [ -S /var/run/docker.sock ] && command -v docker && as_root docker version; }
}

venv_package() {
  case $1 in
    */python3) echo python3-venv ;;
    *) echo "$(basename "$1")-venv" ;;
  esac
}

debian_packages() {
  local index
  need "$(venv_package "$python")" "$python" -c 'import ensurepip, venv'
  if [ "$purpose" != python ]; then
    need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
    need openssh-client command -v ssh-keygen
    need iproute2 command -v ip
    need nftables command -v nft
    need docker.io engine_present
    need mmdebstrap command -v mmdebstrap
    # Ubuntu does not trust Debian's archive by itself, and the machine image is built from it.
    need debian-archive-keyring test -e /usr/share/keyrings/debian-archive-keyring.gpg
  fi
  # On Ubuntu `chromium` is a snap; playwright brings its own there (below).
  if [ "$purpose" = test ] && ! grep -q '^ID=ubuntu' /etc/os-release; then
    need chromium scripts/browser.sh
  fi
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "these Debian packages are missing and there is no apt-get to install them: ${missing[*]}. Install their like by hand."
  say "    installing ${missing[*]}"
  index=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q 2>&1) || fail "apt-get update failed: $index"
  # Debian 13 has the docker command in a package of its own.
  if [[ " ${missing[*]} " == *" docker.io "* ]] && apt-cache show docker-cli >/dev/null 2>&1; then
    missing+=(docker-cli)
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 ||
    fail "apt-get could not install: ${missing[*]}. Its own message is above; run 'apt-get -f install' or check /etc/apt/sources.list."
}

# The stamp holds what the venv was made from: the same lock in the same place means nothing to do.
wanted="$repo $(sha256sum <requirements.lock)"
environment_ready() { [ -x .venv/bin/python ] && [ "$(cat .venv/.installed 2>/dev/null)" = "$wanted" ]; }

# The lines of one package in the lock, its hashes included.
locked() { awk -v name="$1==" 'index($0, name) == 1 { found = 1 } found { print } found && !/\\$/ { exit }' requirements.lock; }

# uv does in seconds what pip does in a minute, and asks the same index; what else pip may be configured to do, it cannot.
packages() {
  local pip=(.venv/bin/python -m pip) index
  local install=("${pip[@]}" install --quiet --disable-pip-version-check --no-compile --require-hashes)
  "${install[@]}" --no-deps -r <(locked uv) || return
  index=${PIP_INDEX_URL:-$("${pip[@]}" config get global.index-url 2>/dev/null || true)}
  # Not as an argument: it may hold a password.
  [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  .venv/bin/uv pip install --quiet --system-certs --python .venv/bin/python --require-hashes -r requirements.lock && return
  say "    uv could not, pip may"
  "${install[@]}" -r requirements.lock
}

python_environment() {
  ! environment_ready || return 0
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    "$python" -m venv .venv || fail "$python could not make .venv; its own message is above"
  fi
  packages || fail "pip could not install requirements.lock. If no package index is reachable, set PIP_INDEX_URL to one that is."
  # Without packages' own tests, and without Ansible's modules and collections: modules travel as source, and of a hundred collections a few are
  # used. Some files are templates, which no Python compiles.
  .venv/bin/python -m compileall -qq -j 0 -x '/(tests?|plugins/modules|ansible_collections)/' .venv/lib || true
  printf '%s' "$wanted" >.venv/.installed
}

browser() {
  scripts/browser.sh >/dev/null 2>&1 || scripts/browser.sh install >&2
}

if [ "$purpose" = python ] && environment_ready; then
  exit 0
fi
python=$(find_python)
step "Debian packages" debian_packages
step "Python environment (.venv, from requirements.lock)" python_environment
if [ "$purpose" = test ]; then
  step "Browser for the tests" browser
fi
