#!/usr/bin/env bash
# Makes the machine of the molecule scenario `upgrade`, measures on it (benchmarks/README.md), removes it. RUNS and SWITCHES say how much.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

runs=${RUNS:-100000} switches=${SWITCHES:-200}
[[ $runs =~ ^[1-9][0-9]*$ && $switches =~ ^[1-9][0-9]*$ ]] || fail "RUNS='$runs' and SWITCHES='$switches' must be whole numbers above 0"
export MOLECULE_EPHEMERAL_DIRECTORY="$repo/.cache/bench"

molecule_step() { as_root env MOLECULE_EPHEMERAL_DIRECTORY="$MOLECULE_EPHEMERAL_DIRECTORY" "$repo/.venv/bin/molecule" "$1" -s upgrade; }
finish() {
  molecule_step destroy >/dev/null 2>&1 || say "the machine could not be removed: molecule destroy -s upgrade"
  give_back artifacts .cache
}

scripts/install.sh test
step "Docker engine and image" as_root "$repo/.venv/bin/python" -m localcloud image debian-13
mkdir -p artifacts "$MOLECULE_EPHEMERAL_DIRECTORY"
trap finish EXIT
for action in destroy create prepare converge; do
  step "Machine with MLflow 2.22: $action" molecule_step "$action" >>artifacts/bench.log 2>&1 || fail "see artifacts/bench.log"
done
step "Build the newest release beside it" as_root env \
  ANSIBLE_COLLECTIONS_PATH="$repo/collections" ANSIBLE_CONFIG="$ANSIBLE_CONFIG" "$repo/.venv/bin/ansible-playbook" \
  -i "$MOLECULE_EPHEMERAL_DIRECTORY/inventory" molecule/upgrade/build.yml >>artifacts/bench.log 2>&1 || fail "see artifacts/bench.log"
as_root "$repo/.venv/bin/python" -m benchmarks --ca "$MOLECULE_EPHEMERAL_DIRECTORY/ca.crt" --runs "$runs" --switches "$switches"
