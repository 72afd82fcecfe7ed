#!/usr/bin/env bash
# What runs: the local cloud's machines and databases, and whether the deployment answers.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ -x .venv/bin/python ] || fail "nothing is installed yet. Start with: make up"
# A deployment on Google has nothing to do with what runs here.
case "${GOOGLE_CLOUD_PROJECT:-${CLOUDSDK_CORE_PROJECT:-mlflow-local}}" in
  mlflow-local) as_root "$repo/.venv/bin/python" -m localcloud status ;;
esac
enter_cloud
exec python scripts/deployment.py status
