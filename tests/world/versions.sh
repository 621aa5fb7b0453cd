#!/usr/bin/env bash
# Runs a command once for each version of NFS, whatever became of those before.
#
#   versions.sh COMMAND…   sees DATASYNC_TEST_NFS_VERSION
set -uo pipefail
result=0
for version in NFS3 NFS4_0 NFS4_1 NFS4_2 AUTOMATIC; do
    echo "--- $version"
    DATASYNC_TEST_NFS_VERSION=$version "$@" || result=1
done
exit $result
