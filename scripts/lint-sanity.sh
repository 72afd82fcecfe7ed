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
# It clears the environment too: what leads pip to its index, and which certificates it trusts there, goes into that home's pip.conf.
mkdir -p "$home/.config/pip"
{
  echo "[global]"
  echo "cert = ${PIP_CERT:-${REQUESTS_CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}}"
  python -m pip config list | sed -nE "s/^(:env:|global|install)\.(index-url|extra-index-url|find-links|proxy|timeout|trusted-host)='(.*)'$/\2 = \3/p" |
    sort -u -t= -k1,1
} >"$home/.config/pip/pip.conf"
# It fetches get-pip.py from a site that is not a package index and may be out of reach. The pip of this Python does as well.
pip_version=$(python - "$version" <<'PYTHON'
import sys
from types import SimpleNamespace

from ansible_test._internal.python_requirements import get_venv_packages

print(get_venv_packages(SimpleNamespace(version=sys.argv[1]))["pip"])
PYTHON
)
sed "s|^PYTHON = .*|PYTHON = \"$(command -v python)\"|" scripts/get_pip.py >"$home/.ansible/test/cache/get_pip_${pip_version//./_}.py"

# Else the repository itself, found through the committed symlink, counts as the collection installed already.
export ANSIBLE_COLLECTIONS_PATH=$work
ansible-galaxy collection build --output-path "$work" . >/dev/null
HOME=$home ansible-galaxy collection install --offline -p "$work" "$work"/*.tar.gz >/dev/null
cd "$work/ansible_collections/mlops/mlflow_gcp"
# The one rule that cannot apply: it wants every module under GPLv3, and these are under Apache-2.0 (docs/decisions/0006).
mkdir -p tests/sanity
for module in plugins/modules/*.py plugins/{callback,inventory}/*.py; do
  echo "$module validate-modules:missing-gplv3-license"
done >"tests/sanity/ignore-$(ansible --version | sed -nE '1s/.*core ([0-9]+\.[0-9]+).*/\1/p').txt"
# An artifact has no repository around it; ansible-test asks git which files to test.
git init -q . && echo tests/output/ >>.git/info/exclude && git add -A
HOME=$home LC_ALL=C.UTF-8 ansible-test sanity --python "$version" --color no "$@"
