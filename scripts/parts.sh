#!/usr/bin/env bash
# Run the parts of the checks in lanes. Lanes run in parallel, the parts of a lane one after the other. Run as root by scripts/test.sh.
#   scripts/parts.sh LANE… [-- LANE…]
# A lane is one argument with the names of its parts, such as "lint-yaml unit". The lanes after -- start when the first lane has ended.
# Each part writes artifacts/NAME.log. The last line of the output is "N passed, N failed": a linter and a molecule scenario count as one.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
lanes=()
# Colours would hide pytest's summary from `count`.
export PY_COLORS=0

# These tests need a Docker engine and the network of the host exclusively.
engine="tests/localcloud/engine tests/localcloud/test_killed_process.py"

# Print the command of a part.
command_of() {
  case $1 in
    lint-*) echo "make -s $1" ;;
    # The tests of roles start ansible-playbook, others start MLflow servers. They take most of the time, so they run once: in unit-container.
    unit) echo "pytest -n auto --dist loadfile -m not(server) tests/unit clients/python/tests --ignore tests/unit/roles" ;;
    front-end) echo "pytest tests/front_end --ignore tests/front_end/long" ;;
    front-end-long) echo "pytest tests/front_end/long" ;;
    unit-container) echo "scripts/unit-container.sh" ;;
    localcloud) echo "pytest -n auto --dist loadfile tests/localcloud --ignore tests/localcloud/playbooks --ignore ${engine// / --ignore }" ;;
    engine) echo "pytest $engine" ;;
    playbooks) echo "pytest -n auto --dist loadfile tests/localcloud/playbooks --ignore tests/localcloud/playbooks/long" ;;
    molecule-*) echo "molecule test --scenario-name ${1#molecule-}" ;;
    e2e) echo "pytest tests/e2e --ignore tests/e2e/upgrade --ignore tests/e2e/long" ;;
    e2e-upgrade) echo "pytest tests/e2e/upgrade" ;;
    e2e-long) echo "pytest tests/e2e/long" ;;
    playbooks-long) echo "env MLFLOW_GCP_TEST_KILL_EVERY=1 pytest tests/localcloud/playbooks/long tests/localcloud/playbooks/test_killed.py" ;;
    *) fail "there is no part $1" ;;
  esac
}

# Print how many tests passed and failed. pytest's last line gives both; any other part counts as one.
count() {
  local name=$1 code=$2 summary passed=0 failed=0
  summary=$(grep -E '^(=+ )?[0-9]+ (passed|failed|errors?|skipped)\b.* in [0-9.]+s' "artifacts/$name.log" | tail -n 1 || true)
  case "$(command_of "$name")" in
    *pytest* | *unit-container*)
      [[ $summary =~ ([0-9]+)\ passed ]] && passed=${BASH_REMATCH[1]}
      [[ $summary =~ ([0-9]+)\ failed ]] && failed=${BASH_REMATCH[1]}
      [[ $summary =~ ([0-9]+)\ error ]] && failed=$((failed + BASH_REMATCH[1]))
      ;;
    *) [ "$code" -ne 0 ] || passed=1 ;;
  esac
  # A part that ends with an error has a failure, even if its log does not say so.
  [ "$code" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
  echo "$passed $failed"
}

run_part() {
  local name=$1 begun=$SECONDS code=0 command
  command=$(command_of "$name")
  say "==> $name: $command"
  # Not shared: ssh makes its standard input non-blocking, which ansible-playbook refuses. A background job of a shell ignores SIGINT,
  # and so would all its children.
  # shellcheck disable=SC2086
  env --default-signal=INT $command >"artifacts/$name.log" 2>&1 </dev/null || code=$?
  count "$name" "$code" >"$results/$name"
  if [ "$code" -eq 0 ]; then
    say "    $name: done in $((SECONDS - begun)) s"
  else
    say "    $name: FAILED with exit code $code after $((SECONDS - begun)) s. Log: artifacts/$name.log"
  fi
}

run_lane() {
  local name
  for name in $1; do
    [ ! -e "$results/interrupted" ] || return 0
    run_part "$name"
  done
}

# Start a lane in a process group of its own, so that Ctrl-C reaches only this script.
start() {
  set -m
  run_lane "$1" &
  set +m
  lanes+=($!)
}

# `wait` also returns at a signal.
await() { while kill -0 "$1" 2>/dev/null; do wait "$1" || true; done; }

# Pass Ctrl-C on: pytest then removes its deployments. A second Ctrl-C kills the lanes.
stop() {
  local signal=INT lane
  [ ! -e "$results/interrupted" ] || signal=KILL
  touch "$results/interrupted"
  say "==> Interrupted. Stopping the running parts with SIG$signal. Press Ctrl-C again to kill them."
  # Only running lanes: the number of an ended lane may belong to another process by now.
  for lane in $(jobs -pr); do kill -"$signal" -- "-$lane" 2>/dev/null || true; done
}

# Print each failed part with its last lines, and the sums.
report() {
  local name passed=0 failed=0 some more broken=()
  for name in $parts; do
    read -r some more 2>/dev/null <"$results/$name" || { some=0 more=1; }
    passed=$((passed + some)) failed=$((failed + more))
    [ "$more" -eq 0 ] || broken+=("$name")
  done
  for name in "${broken[@]}"; do
    say ""
    if [ -e "$results/$name" ]; then
      say "==> FAILED: $name. pytest's summary and the end of artifacts/$name.log:"
      head -n -40 "artifacts/$name.log" | grep -E '^(FAILED|ERROR) .*::' >&2 || true
      tail -n 40 "artifacts/$name.log" >&2
    else
      say "==> FAILED: $name did not end"
    fi
  done
  say ""
  [ ${#broken[@]} -eq 0 ] || say "Failed parts: ${broken[*]}"
  echo "$passed passed, $failed failed"
  [ ! -e "$results/interrupted" ] || return 130
  [ "$failed" -eq 0 ]
}

mkdir -p artifacts
trap stop INT TERM
first=() second=() parts=
for lane in "$@"; do
  if [ "$lane" = -- ]; then
    second=("${@:${#first[@]}+2}")
    break
  fi
  first+=("$lane")
done
parts="${first[*]} ${second[*]}"
for name in $parts; do command_of "$name" >/dev/null; done
for lane in "${first[@]}"; do start "$lane"; done
if [ ${#second[@]} -gt 0 ]; then
  await "${lanes[0]}"
  for lane in "${second[@]}"; do start "$lane"; done
fi
for lane in "${lanes[@]}"; do await "$lane"; done
report
