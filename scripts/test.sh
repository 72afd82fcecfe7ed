#!/usr/bin/env bash
# Install, then run the given lanes of parts (scripts/parts.sh), and remove the local cloud afterwards if it was not running before.
# Parts run as root, because tests create VMs, networks and firewall rules.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
begun=$SECONDS
[ $# -gt 0 ] || fail "name the lanes of parts. See: make test"

localcloud() { as_root "$repo/.venv/bin/python" -m localcloud "$@"; }

scripts/install.sh test
ours=no
localcloud status >/dev/null 2>&1 || ours=yes
step "Docker engine and images" localcloud image debian-13 postgres-17

mkdir -p artifacts
code=0
# parts.sh handles Ctrl-C. This script then removes the local cloud.
trap : INT TERM
# The only output of parts.sh: "N passed, N failed". It is printed last.
summary=$(as_root scripts/parts.sh "$@") || code=$?
if [ "$ours" = yes ]; then
  as_root find "$local_cloud_home" -name '*.log' -exec cp -t artifacts {} + 2>/dev/null || true
  # `localcloud down` reports resources that it could not remove.
  if ! localcloud down --keep-images >artifacts/down.log 2>&1; then
    say "error: cannot remove the local cloud. The end of artifacts/down.log:"
    tail -n 5 artifacts/down.log >&2
    [ "$code" -ne 0 ] || code=1
    [[ ! $summary =~ ^(.*,\ )([0-9]+)(\ failed)$ ]] || summary=${BASH_REMATCH[1]}$((BASH_REMATCH[2] + 1))${BASH_REMATCH[3]}
  fi
fi
give_back artifacts .cache
say "    all parts: $((SECONDS - begun)) s"
echo "${summary:-0 passed, 1 failed}"
exit "$code"
