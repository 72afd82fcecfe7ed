#!/usr/bin/env bash
# Installs, then runs pytest over everything (or over the paths given): lint and molecule are tests among the others, so that pytest's
# last line speaks for all. Runs as root, as the local cloud does: it makes machines, networks and firewall rules.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -gt 0 ] || set -- tests/unit tests/test_lint.py tests/localcloud tests/test_molecule.py tests/e2e

localcloud() { as_root "$repo/.venv/bin/python" -m localcloud "$@"; }

scripts/install.sh test
# What runs already stays; what only the tests needed goes when they end. Its log is kept beside the tests' own.
ours=no
localcloud status >/dev/null 2>&1 || ours=yes
step "Local cloud (Docker engine, machine image, APIs)" localcloud up

say "==> Tests: $*"
mkdir -p artifacts
code=0
as_root "$repo/.venv/bin/python" -m pytest "$@" || code=$?
if [ "$ours" = yes ]; then
  as_root find .localcloud -name '*.log' -exec cp -t artifacts {} + 2>/dev/null || true
  localcloud down >artifacts/down.log 2>&1 || say "the local cloud could not be removed: artifacts/down.log"
fi
give_back artifacts .cache .localcloud
exit "$code"
