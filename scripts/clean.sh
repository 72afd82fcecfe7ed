#!/usr/bin/env bash
# Everything that `make down` removes, and all else that came to this directory and was not committed; Debian packages stay.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ -x .venv/bin/python ]; then
  scripts/down.sh
fi
as_root rm -rf .venv .cache .ansible .mypy_cache .ruff_cache .pytest_cache artifacts dist
