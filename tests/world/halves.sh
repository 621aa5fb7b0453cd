#!/usr/bin/env bash
# Runs pytest in two worlds at once, each test file in that which comes to it first:
#
#   tests/world/halves.sh REPORTS PYTEST [ARGUMENT…]
#
# REPORTS begins the names of what each half leaves: REPORTS-1.xml and REPORTS-1.log, its servers' logs
# in REPORTS-1, and the same with 2.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70
if [ $# -lt 2 ]; then
  echo "usage: $0 REPORTS PYTEST [ARGUMENT…]" >&2
  exit 64
fi
reports=$1
shift
claims=$(mktemp -d "${TMPDIR:-/tmp}/datasync-claims.XXXXXX") || exit 70
halves=()
for half in 1 2; do
  data=$(mktemp -d "${TMPDIR:-/tmp}/datasync-half.XXXXXX") || exit 70
  DATASYNC_LOGS=$reports-$half tests/world/enter.sh "$@" --half "$half" --claims "$claims" --basetemp="$data" \
    --junitxml="$reports-$half.xml" >"$reports-$half.log" 2>&1 &
  halves+=($! "$data")
done
result=0
wait "${halves[0]}" || result=1
wait "${halves[2]}" || result=1
# Some file systems take minutes for so many files: nobody waits for them.
rm -rf "$claims" "${halves[1]}" "${halves[3]}" </dev/null >/dev/null 2>&1 &
cat "$reports-1.log" "$reports-2.log"
exit $result
