#!/usr/bin/env bash
# Runs a command with the cloud that is meant: Google's when the environment names a project there, else the local cloud.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ -x .venv/bin/python ] || fail "nothing is installed yet. Start with: make up"
enter_cloud
exec "$@"
