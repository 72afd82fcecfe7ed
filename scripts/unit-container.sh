#!/usr/bin/env bash
# Run the unit tests in a container of the other supported Debian release, with the Python of that release. The arguments are for pytest.
# The virtual environment and the downloads stay in .cache/.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

release=debian-13
! python -c 'import sys; sys.exit(sys.version_info < (3, 13))' || release=debian-12
cache=$repo/.cache/$release
uv=$(python -c 'from pathlib import Path; print(Path(".venv/bin/uv").resolve())')
index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(python -m pip config get global.index-url 2>/dev/null || true)}}
# The URL may contain a password, so it is not an argument.
[ -z "$index" ] || export UV_DEFAULT_INDEX=$index

python -m localcloud image "$release"
mkdir -p "$cache"
# The repository is read-only, so that no test writes to it. Compiled modules stay in the container: without them, each start of
# ansible-playbook compiles Ansible.
docker run --rm --network host --init --volume "$repo:$repo:ro" --volume "$cache:$cache" --workdir "$repo" \
  --env UV_DEFAULT_INDEX --env UV_CACHE_DIR="$cache/uv" --env UV_LINK_MODE=hardlink --env PYTHONPYCACHEPREFIX=/tmp/pycache \
  --env ANSIBLE_CONFIG="$ANSIBLE_CONFIG" --env HOME=/root \
  "mlflow-localcloud/$release" /bin/bash -euc '
    cache=$1 uv=$2
    shift 2
    "$uv" venv --quiet --allow-existing --system-certs --python /usr/bin/python3 "$cache/venv"
    "$uv" pip sync --quiet --system-certs --python "$cache/venv/bin/python" --require-hashes requirements.lock
    export PATH="$cache/venv/bin:$PATH"
    [ $# -gt 0 ] || set -- tests/unit
    exec pytest -n auto --dist loadfile -o cache_dir=/tmp/pytest "$@"
  ' unit-container "$cache" "$uv" "$@"
