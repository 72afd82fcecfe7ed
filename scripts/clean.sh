#!/usr/bin/env bash
# Everything that came to this directory and was not committed, and the images; Debian packages stay.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ -x .venv/bin/python ]; then
  scripts/down.sh
  images=$(as_root docker image ls --quiet --filter 'reference=mlflow-localcloud/*' 2>/dev/null || true)
  # shellcheck disable=SC2086
  [ -z "$images" ] || as_root docker image rm --force $images >/dev/null
fi
as_root rm -rf .venv .cache .ansible .mypy_cache .ruff_cache .pytest_cache artifacts dist
