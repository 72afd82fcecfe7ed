#!/usr/bin/env bash
# Print the path of nginx for the tests of the front end, or fail. scripts/install.sh and the tests use this script.
#   scripts/nginx.sh            the system's nginx, otherwise the one in .cache/nginx
#   scripts/nginx.sh install    download Debian's package and unpack it there: no service is installed or started
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

directory=$repo/.cache/nginx
unpacked=$directory/usr/sbin/nginx

if [ "${1:-}" = install ]; then
  mkdir -p "$directory"
  cd "$directory"
  rm -f nginx_*.deb
  # The package lists of a new host may be empty or old.
  apt-get download -q nginx >&2 || { as_root apt-get update -q >&2 && apt-get download -q nginx >&2; } ||
    fail "apt-get cannot download the package nginx. Its message is above. Check /etc/apt/sources.list."
  dpkg-deb --extract nginx_*.deb .
  rm -f nginx_*.deb
fi

found=$(command -v nginx || true)
[ -n "$found" ] || found=$unpacked
"$found" -v >/dev/null 2>&1 || fail "there is no usable nginx on PATH ($PATH) or in $directory. Install it with: scripts/nginx.sh install"
printf '%s\n' "$found"
