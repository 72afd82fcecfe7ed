#!/usr/bin/env bash
# Render the reference of every module, callback plugin, inventory plugin and role as text to artifacts/docs.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

target=artifacts/docs
mkdir -p "$target"
render() {
  local type=$1 file name
  shift
  for file in "$@"; do
    name=$(basename "$file" .py)
    [[ $name == _* ]] || ansible-doc -t "$type" "mlops.mlflow_gcp.$name" >"$target/$name.txt"
  done
}
shopt -s nullglob
render module plugins/modules/*.py
render callback plugins/callback/*.py
render inventory plugins/inventory/*.py
render role roles/*
say "rendered $(find "$target" -name '*.txt' | wc -l) pages to $target"
