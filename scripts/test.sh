#!/usr/bin/env bash
# Installs, then runs pytest over everything (or over the paths given): lint and molecule are tests among the others, so that pytest's
# last line speaks for all. Runs as root, as the local cloud does: it makes machines, networks and firewall rules.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -gt 0 ] || set -- tests/unit tests/test_lint.py tests/localcloud tests/test_molecule.py tests/e2e
scripts/install.sh test
say "==> Tests: $*"
code=0
as_root "$repo/.venv/bin/python" -m pytest "$@" || code=$?
give_back artifacts .cache .localcloud .state
exit "$code"
