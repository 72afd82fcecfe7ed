#!/usr/bin/env bash
# Everything that `make down` removes, and all else that came to this directory and was not committed; Debian packages stay.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Whoever calls it with arguments means something else, such as Ansible, which runs the programs of a directory it takes for an inventory.
[ $# -eq 0 ] || fail "$(basename "$0") takes no arguments and removes a lot; these were given: $*"

if [ -x .venv/bin/python ]; then
  scripts/down.sh
fi
as_root rm -rf .venv .cache .ansible .mypy_cache .ruff_cache .pytest_cache artifacts dist
