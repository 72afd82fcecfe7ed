#!/usr/bin/env bash
# Installs, then runs pytest over everything (or over the paths given): lint and molecule are tests among the others, so that pytest's
# last line speaks for all. Scenarios and linters run beside the others (tests/conftest.py).
# Runs as root, as the local cloud does: it makes machines, networks and firewall rules.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -gt 0 ] || set -- tests/unit tests/localcloud tests/e2e tests/test_molecule.py tests/test_lint.py

localcloud() { as_root "$repo/.venv/bin/python" -m localcloud "$@"; }

scripts/install.sh test
# What runs already stays; what only the tests needed goes when they end. Its log is kept beside the tests' own.
# The end-to-end tests bring the local cloud up: the engine's own tests, which come before, need the host's network for themselves.
ours=no
localcloud status >/dev/null 2>&1 || ours=yes
step "Docker engine and images" localcloud image debian-13 postgres-17

say "==> Tests: $*"
mkdir -p artifacts
code=0
as_root "$repo/.venv/bin/python" -m pytest "$@" || code=$?
if [ "$ours" = yes ]; then
  as_root find "$local_cloud_home" -name '*.log' -exec cp -t artifacts {} + 2>/dev/null || true
  # It says so itself when something of it is left.
  if ! localcloud down --keep-images >artifacts/down.log 2>&1; then
    say "error: the local cloud could not be removed; the end of artifacts/down.log:"
    tail -n 5 artifacts/down.log >&2
    [ "$code" -ne 0 ] || code=1
  fi
fi
give_back artifacts .cache
exit "$code"
