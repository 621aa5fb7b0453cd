#!/usr/bin/env bash
# Runs a command in a world of its own: its own network (loopback only), process tree, mounts and
# /run. When the command ends, whatever it started ends with it. Needs root.
#
#   tests/world/enter.sh COMMAND [ARGUMENT…]
set -euo pipefail
if [ $# = 0 ]; then
  echo "usage: $0 COMMAND [ARGUMENT…]" >&2
  exit 64
fi
export DATASYNC_WORLD=1
# The inner shell is process 1 of the world: it stays, to take in orphans.
exec unshare --mount --propagation private --net --pid --fork --kill-child=KILL --mount-proc -- \
  bash -c '
    ip link set lo up || exit 71
    mount -t tmpfs -o mode=755 tmpfs /run || exit 71
    mkdir -p /run/rpcbind /run/ganesha /run/lock || exit 71
    "$@"
    exit $?
  ' world "$@"
