#!/usr/bin/env bash
# Run ansible-test sanity on the built and installed collection. ansible-test refuses a repository's root and fails on directory symlinks;
# the artifact avoids both problems (docs/decisions/0006).
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# ansible-test keeps its virtual environments below HOME. A separate HOME protects the user's home and makes the second run fast.
home=$repo/.cache/ansible-test
mkdir -p "$home/.ansible/test/cache"
# ansible-test clears the environment, so pip.conf in the separate HOME holds pip's index and trusted certificates.
mkdir -p "$home/.config/pip"
{
  echo "[global]"
  echo "cert = ${PIP_CERT:-${REQUESTS_CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}}"
  python -m pip config list | sed -nE "s/^(:env:|global|install)\.(index-url|extra-index-url|find-links|proxy|timeout|trusted-host)='(.*)'$/\2 = \3/p" |
    sort -u -t= -k1,1
} >"$home/.config/pip/pip.conf"
# ansible-test fetches get-pip.py from a site that is not a package index and may not be reachable. scripts/get_pip.py replaces it.
pip_version=$(python - "$version" <<'PYTHON'
import sys
from types import SimpleNamespace

from ansible_test._internal.python_requirements import get_venv_packages

print(get_venv_packages(SimpleNamespace(version=sys.argv[1]))["pip"])
PYTHON
)
sed "s|^PYTHON = .*|PYTHON = \"$(command -v python)\"|" scripts/get_pip.py >"$home/.ansible/test/cache/get_pip_${pip_version//./_}.py"

# Otherwise Ansible finds the repository through the committed symlink and treats the collection as installed.
export ANSIBLE_COLLECTIONS_PATH=$work
ansible-galaxy collection build --output-path "$work" . >/dev/null
HOME=$home ansible-galaxy collection install --offline -p "$work" "$work"/*.tar.gz >/dev/null
cd "$work/ansible_collections/mlops/mlflow_gcp"
# Ignore one rule: it requires GPLv3 for every module, and these are under Apache-2.0 (docs/decisions/0006).
mkdir -p tests/sanity
for module in plugins/modules/*.py plugins/{callback,inventory}/*.py; do
  echo "$module validate-modules:missing-gplv3-license"
done >"tests/sanity/ignore-$(ansible --version | sed -nE '1s/.*core ([0-9]+\.[0-9]+).*/\1/p').txt"
# The artifact is not in a git repository, and ansible-test uses git to list the files.
git init -q . && echo tests/output/ >>.git/info/exclude && git add -A
HOME=$home LC_ALL=C.UTF-8 ansible-test sanity --python "$version" --color no "$@"
