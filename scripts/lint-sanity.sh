#!/usr/bin/env bash
# ansible-test sanity, on the collection as a user gets it: built, then installed. ansible-test refuses a repository's root, and looks at
# no symlinks; the artifact has neither trouble.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# ansible-test keeps its virtual environments below HOME. A home of its own leaves the person's alone and makes the second run quick.
home=$repo/.cache/ansible-test
mkdir -p "$home/.ansible/test/cache"
for settings in "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf"; do
  [ ! -e "$settings" ] || export PIP_CONFIG_FILE="${PIP_CONFIG_FILE:-$settings}"
done
# It fetches get-pip.py from a site that is not a package index and may be out of reach. Python has the means within.
pip_version=$(python - "$version" <<'PYTHON'
import sys
from types import SimpleNamespace

from ansible_test._internal.python_requirements import get_venv_packages

print(get_venv_packages(SimpleNamespace(version=sys.argv[1]))["pip"])
PYTHON
)
cp scripts/get_pip.py "$home/.ansible/test/cache/get_pip_${pip_version//./_}.py"

ansible-galaxy collection build --output-path "$work" . >/dev/null
HOME=$home ansible-galaxy collection install --offline -p "$work" "$work"/*.tar.gz >/dev/null
cd "$work/ansible_collections/mlops/mlflow_gcp"
# An artifact has no repository around it; ansible-test asks git which files to test.
git init -q . && git add -A
HOME=$home LC_ALL=C.UTF-8 ansible-test sanity --venv --python "$version" --color no "$@"
