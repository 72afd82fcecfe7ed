#!/usr/bin/env bash
# Create the VM container of the molecule scenario `upgrade`, run the benchmarks on it (benchmarks/README.md) and remove it.
# RUNS is the number of MLflow runs in the database, SWITCHES the number of cutovers.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

runs=${RUNS:-100000} switches=${SWITCHES:-200}
[[ $runs =~ ^[1-9][0-9]*$ && $switches =~ ^[1-9][0-9]*$ ]] || fail "RUNS='$runs' and SWITCHES='$switches' must be whole numbers above 0"
export MOLECULE_EPHEMERAL_DIRECTORY="$repo/.cache/bench"

molecule_step() { as_root env MOLECULE_EPHEMERAL_DIRECTORY="$MOLECULE_EPHEMERAL_DIRECTORY" "$repo/.venv/bin/molecule" "$1" -s upgrade; }
finish() {
  molecule_step destroy >/dev/null 2>&1 || say "error: cannot remove the container. Remove it with: molecule destroy -s upgrade"
  give_back artifacts .cache
}

scripts/install.sh test
step "Docker engine and image" as_root "$repo/.venv/bin/python" -m localcloud image debian-13
mkdir -p artifacts "$MOLECULE_EPHEMERAL_DIRECTORY"
trap finish EXIT
for action in destroy create prepare converge; do
  step "Container with MLflow 2.22: $action" molecule_step "$action" >>artifacts/bench.log 2>&1 || fail "molecule $action failed. See artifacts/bench.log"
done
step "Build the newest release in the container" as_root env \
  ANSIBLE_COLLECTIONS_PATH="$repo/collections" ANSIBLE_CONFIG="$ANSIBLE_CONFIG" "$repo/.venv/bin/ansible-playbook" \
  -i "$MOLECULE_EPHEMERAL_DIRECTORY/inventory" molecule/upgrade/build.yml >>artifacts/bench.log 2>&1 || fail "molecule/upgrade/build.yml failed. See artifacts/bench.log"
as_root "$repo/.venv/bin/python" -m benchmarks container --ca "$MOLECULE_EPHEMERAL_DIRECTORY/ca.crt" --runs "$runs" --switches "$switches"
