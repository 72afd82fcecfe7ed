#!/usr/bin/env bash
# Run `make down`, then remove .venv, caches and build results. Debian packages stay installed.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Refuse arguments: Ansible runs every program in a directory that it takes for an inventory, with arguments such as --list.
[ $# -eq 0 ] || fail "$(basename "$0") takes no arguments, but got: $*. Nothing was removed"

if [ -x .venv/bin/python ]; then
  scripts/down.sh
fi
as_root rm -rf .venv .cache .ansible .mypy_cache .ruff_cache .pytest_cache artifacts dist
