#!/usr/bin/env bash
# Prints the SKIPPED lines of passed tests from a nextest JUnit file, each once. Usage: skips.sh JUNIT.xml
set -euo pipefail
[ -f "${1:?usage: skips.sh JUNIT.xml}" ] || exit 0
# The tag that opens a test's output may stand on the same line; XML escapes are undone, & last.
{ grep -oE 'SKIPPED: [^<]+' "$1" || true; } |
    sed -e 's/&lt;/</g' -e 's/&gt;/>/g' -e 's/&quot;/"/g' -e "s/&apos;/'/g" -e 's/&amp;/\&/g' -e 's/[[:space:]]*$//' |
    sort -u
