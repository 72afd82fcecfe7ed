#!/usr/bin/env bash
# Install, then run pytest on all tests or on the given paths. Lint and molecule are tests too, so that pytest's last line gives the
# result of all checks. Scenarios and linters run in the background (tests/conftest.py).
# pytest runs as root, because tests create VMs, networks and firewall rules.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -gt 0 ] || set -- tests/unit tests/localcloud tests/e2e tests/test_molecule.py tests/test_lint.py

localcloud() { as_root "$repo/.venv/bin/python" -m localcloud "$@"; }

scripts/install.sh test
# If the local cloud is already running, keep it running. Otherwise remove it after the tests and keep its log in artifacts/.
# The end-to-end tests start the local cloud: the engine's tests run before them and need the host's network exclusively.
ours=no
localcloud status >/dev/null 2>&1 || ours=yes
step "Docker engine and images" localcloud image debian-13 postgres-17

say "==> Tests: $*"
mkdir -p artifacts
code=0
as_root "$repo/.venv/bin/python" -m pytest "$@" || code=$?
if [ "$ours" = yes ]; then
  as_root find "$local_cloud_home" -name '*.log' -exec cp -t artifacts {} + 2>/dev/null || true
  # `localcloud down` reports resources that it could not remove.
  if ! localcloud down --keep-images >artifacts/down.log 2>&1; then
    say "error: cannot remove the local cloud. The end of artifacts/down.log:"
    tail -n 5 artifacts/down.log >&2
    [ "$code" -ne 0 ] || code=1
  fi
fi
give_back artifacts .cache
exit "$code"
