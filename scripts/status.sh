#!/usr/bin/env bash
# Show the running VMs and databases of the local cloud, and whether the deployment answers.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ -x .venv/bin/python ] || fail "there is no .venv. Start with: make up"
enter_deployment
# For a deployment on Google the state of the local cloud is irrelevant.
case "${GOOGLE_CLOUD_PROJECT:-${CLOUDSDK_CORE_PROJECT:-mlflow-local}}" in
  mlflow-local) as_root "$repo/.venv/bin/python" -m localcloud status ;;
esac
enter_cloud
exec python scripts/deployment.py status
