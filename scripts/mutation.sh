#!/usr/bin/env bash
# Run mutmut on one group of files, with the unit tests of these files: docs/mutation-testing.md.
# mutation.sh resource|cutover|permissions [ARGUMENT OF MUTMUT…]
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

group=${1:-} unit=tests/unit
case $group in
  resource)
    files=('*/module_utils/_resource.py' '*/module_utils/_convergence.py' '*/module_utils/_diff.py')
    tests=("$unit"/module_utils/test_{resource,convergence,diff,resource_requests}.py)
    ;;
  cutover)
    files=('*/cutover/switching.py' '*/cutover/journal.py' '*/cutover/traffic.py' '*/cutover/database.py')
    # The tests that kill a cutover at each action take minutes.
    tests=("$unit"/mlflowctl/test_cutover{_steps,_recovery,_parts,}.py -k "not killed_at and not killed_during")
    ;;
  permissions)
    files=('*/access/permissions.py' '*/access/conditions.py')
    tests=("$unit"/localcloud/test_{permissions,conditions}.py)
    ;;
  *) fail "'$group' is no group. Groups: resource, cutover, permissions" ;;
esac
shift

quoted() { printf '"%s", ' "$@"; }

# mutmut derives the name of a module from its path. In this copy, the paths below src/ are the names.
copy=.cache/mutation/$group
mkdir -p "$copy/src/ansible_collections/mlops/mlflow_gcp" "$copy/mutants"
cp -pru plugins meta "$copy/src/ansible_collections/mlops/mlflow_gcp/"
cp -pru roles/mlflowctl/files/mlflowctl localcloud "$copy/src/"
cp -pru tests "$copy/"
ln -sfn src "$copy/mutants/collections"
cat >"$copy/pyproject.toml" <<TOML
[tool.pytest.ini_options]
pythonpath = [".", "src"]
addopts = ["--import-mode=importlib", "-p", "no:cacheprovider"]
markers = ["engine: boots real machines; needs root and a Docker engine"]

[tool.mutmut]
source_paths = ["src"]
only_mutate = [$(quoted "${files[@]}")]
pytest_add_cli_args_test_selection = [$(quoted "${tests[@]}")]
timeout_constant = 3.0
timeout_multiplier = 10.0
TOML
cd "$copy"
exec uv run --quiet --no-project --python "$repo/.venv/bin/python" --with mutmut==3.8.1 mutmut "${@:-run}"
