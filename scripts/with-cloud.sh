#!/usr/bin/env bash
# Run a command with the environment of the selected cloud: Google if the environment names a project on Google, otherwise the local cloud.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ -x .venv/bin/python ] || fail "there is no .venv. Start with: make up"
enter_deployment
enter_cloud
exec "$@"
