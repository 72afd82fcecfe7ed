#!/usr/bin/env bash
# Print the path of the browser for the end-to-end tests, or fail. scripts/install.sh and the browser test use this script.
#   scripts/browser.sh            the system's chromium, otherwise playwright's chromium
#   scripts/browser.sh install    install playwright's chromium and its Debian packages
# Uses bash builtins only, because the unit tests run the script without system programs on PATH.
set -euo pipefail

repo=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
# Not in a home directory: a user may install the browser, and root runs the tests.
browsers=$repo/.cache/ms-playwright

if [ "${1:-}" = install ]; then
  PLAYWRIGHT_BROWSERS_PATH=$browsers exec "$repo/.venv/bin/playwright" install --with-deps chromium
fi

# On Ubuntu `chromium` may be a link to snap. A browser in a snap cannot read the files that playwright creates for it.
found=$(command -v chromium || true)
if [ -z "$found" ] || [ "$found" -ef "$(command -v snap || true)" ]; then
  found=$(compgen -G "$browsers/chromium-*/chrome-linux*/chrome" || true)
  found=${found##*$'\n'}
fi
[ -n "$found" ] || {
  printf 'error: there is no chromium on PATH (%s) or in %s. Install it with: scripts/install.sh test\n' "$PATH" "$browsers" >&2
  exit 1
}
printf '%s\n' "$found"
