#!/usr/bin/env bash
# Install the missing Debian packages on a Debian or Ubuntu host, then the venv from requirements.lock.
#   scripts/install.sh          all packages of the local cloud, and the venv
#   scripts/install.sh test     also the browser and nginx for the tests
#   scripts/install.sh acme     also the ACME server of the local cloud
#   scripts/install.sh python   only the venv (lint and unit tests need no Docker engine)
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
  fail "cannot find Python 3.11 or newer (python3 is $(python3 --version 2>&1 || echo missing)). Install one, for example" \
    "'apt-get install python3.11 python3.11-venv', or name it: make PYTHON=/path/to/python3 up"
}

missing=()
# need PACKAGE CHECK…: install the package if the check fails. The check looks for the program or file, not for the package.
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
    # Ubuntu has no keys of Debian's archive, and the VM image is built from that archive.
    need debian-archive-keyring test -e /usr/share/keyrings/debian-archive-keyring.gpg
  fi
  # On Ubuntu `chromium` is a snap, so playwright installs its own chromium (below).
  if [ "$purpose" = test ] || [ "$purpose" = acme ]; then
    need pebble command -v pebble
  fi
  if [ "$purpose" = test ]; then
    # The libraries of the ACME client on VMs, for the Python of the system.
    need python3-acme /usr/bin/python3 -c 'import acme'
    need python3-dnspython /usr/bin/python3 -c 'import dns.query'
  fi
  if [ "$purpose" = test ] && ! grep -q '^ID=ubuntu' /etc/os-release; then
    need chromium scripts/browser.sh
  fi
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "cannot install these Debian packages, because there is no apt-get: ${missing[*]}. Install the equivalent packages by hand."
  say "    installing ${missing[*]}"
  index=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q 2>&1) || fail "apt-get update failed: $index"
  # On Debian 13 the docker command is in a separate package.
  if [[ " ${missing[*]} " == *" docker.io "* ]] && apt-cache show docker-cli >/dev/null 2>&1; then
    missing+=(docker-cli)
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 ||
    fail "apt-get cannot install ${missing[*]}. Its message is above. Run 'apt-get -f install' or check /etc/apt/sources.list."
}

# .installed records the path and the lock of the venv. If both are unchanged, the venv is up to date.
wanted="$repo $(sha256sum <requirements.lock)"
environment_ready() { [ -x .venv/bin/python ] && [ "$(cat .venv/.installed 2>/dev/null)" = "$wanted" ]; }

# Print the lines of one package in the lock, with its hashes.
locked() { awk -v name="$1==" 'index($0, name) == 1 { found = 1 } found { print } found && !/\\$/ { exit }' requirements.lock; }

# uv installs in seconds, pip in a minute. uv uses pip's index, but ignores pip's other settings, so pip is the fallback.
packages() {
  local pip=(.venv/bin/python -m pip) index
  local install=("${pip[@]}" install --quiet --disable-pip-version-check --no-compile --require-hashes)
  "${install[@]}" --no-deps -r <(locked uv) || return
  index=${PIP_INDEX_URL:-$("${pip[@]}" config get global.index-url 2>/dev/null || true)}
  # The URL may contain a password, so it is not an argument.
  [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  .venv/bin/uv pip install --quiet --system-certs --python .venv/bin/python --require-hashes -r requirements.lock && return
  say "    uv failed, trying pip"
  "${install[@]}" -r requirements.lock
}

python_environment() {
  ! environment_ready || return 0
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    "$python" -m venv .venv || fail "$python cannot create .venv. Its message is above"
  fi
  packages || fail "pip cannot install requirements.lock. Its message is above. If the package index is not reachable, set PIP_INDEX_URL to another one."
  # Skip the tests of packages, and Ansible's modules and collections: Ansible sends modules as source, and only a few of a hundred
  # collections are used. Ignore errors, because some files are templates that Python cannot compile.
  .venv/bin/python -m compileall -qq -j 0 -x '/(tests?|plugins/modules|ansible_collections)/' .venv/lib || true
  printf '%s' "$wanted" >.venv/.installed
}

front_end() {
  scripts/nginx.sh >/dev/null 2>&1 || scripts/nginx.sh install >/dev/null
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
  step "nginx for the tests" front_end
fi
