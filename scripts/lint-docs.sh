#!/usr/bin/env bash
# Check that ansible-doc renders every module, filter, callback plugin, inventory plugin and role, and that the tables of role variables and
# localcloud/COVERAGE.md are current.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

shopt -s nullglob
names() { local file; for file in "$@"; do file=$(basename "$file" .py); [[ $file == _* ]] || echo "mlops.mlflow_gcp.$file"; done; }
mapfile -t modules < <(names plugins/modules/*.py)
mapfile -t inventories < <(names plugins/inventory/*.py)
mapfile -t filters < <(names plugins/filter/*.py)
mapfile -t callbacks < <(names plugins/callback/*.py)
mapfile -t roles < <(names roles/*)
[ ${#modules[@]} -gt 0 ] || fail "no modules in plugins/modules"

# A play sets project and credentials for the action group. A module outside the group would not get them.
for module in "${modules[@]}"; do
  [[ ${module##*.} == gcp_* ]] || continue
  grep -q "^    - ${module##*.}$" meta/runtime.yml || fail "meta/runtime.yml: ${module##*.} is missing in action_groups.gcp. Add it"
done

python scripts/role_docs.py --check
python -m localcloud coverage --check

ansible-doc -t module "${modules[@]}" >/dev/null
[ ${#inventories[@]} -eq 0 ] || ansible-doc -t inventory "${inventories[@]}" >/dev/null
[ ${#filters[@]} -eq 0 ] || ansible-doc -t filter "${filters[@]}" >/dev/null
[ ${#callbacks[@]} -eq 0 ] || ansible-doc -t callback "${callbacks[@]}" >/dev/null
for role in "${roles[@]}"; do
  NO_COLOR=1 ansible-doc -t role "$role" | grep -q "ENTRY POINT" || fail "role $role has no meta/argument_specs.yml"
done
say "ansible-doc renders ${#modules[@]} modules, ${#inventories[@]} inventory plugins, ${#filters[@]} filters, ${#callbacks[@]} callback plugins, ${#roles[@]} roles"
