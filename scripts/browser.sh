#!/usr/bin/env bash
# Prints where the browser of the end-to-end tests is, or fails: scripts/install.sh provides it, the test starts it, and both ask here.
#   scripts/browser.sh            the system's chromium, else the one that playwright brought
#   scripts/browser.sh install    has playwright bring one (with the Debian packages that it needs)
# Only what bash has by itself: tests give it a PATH of their own.
set -euo pipefail

repo=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
# Not in a home directory: who installs may be a user, who runs the tests is root.
browsers=$repo/.cache/ms-playwright

if [ "${1:-}" = install ]; then
  PLAYWRIGHT_BROWSERS_PATH=$browsers exec "$repo/.venv/bin/playwright" install --with-deps chromium
fi

# On Ubuntu `chromium` may be another name of the program snap; what is in a snap does not see the files that playwright makes for it.
found=$(command -v chromium || true)
if [ -z "$found" ] || [ "$found" -ef "$(command -v snap || true)" ]; then
  found=$(compgen -G "$browsers/chromium-*/chrome-linux*/chrome" || true)
  found=${found##*$'\n'}
fi
[ -n "$found" ] || {
  printf 'error: no chromium on PATH (%s) and none of playwright in %s. Get one: scripts/install.sh test\n' "$PATH" "$browsers" >&2
  exit 1
}
printf '%s\n' "$found"
