#!/usr/bin/env bash
# Runs a command beside Ceph's radosgw: a store that computes no checksums of its own, knows no
# conditional writes and refuses trailers, as older S3-compatible stores do. Inside of a world only
# (tests/world/enter.sh); the world's end ends the servers. Nothing is kept: objects are in memory.
#
#   radosgw.sh COMMAND…    COMMAND sees DATASYNC_TEST_S3_ENDPOINT, _BUCKET (made and empty),
#                          _ACCESS_KEY and _SECRET_KEY
set -euo pipefail

monitor_port=13300
gateway_port=18000
bucket=datasync-test
access_key=AKIARADOSGWTEST00001
secret_key=thisStoreLivesAsLongAsItsTestsAndNoLonger

say() { printf 'radosgw.sh: %s\n' "$*" >&2; }

write_configuration() {
  cat >"$1/ceph.conf" <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:127.0.0.1:$monitor_port/0]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
run dir = $1/run
admin socket = $1/run/\$name.asok
log file = $1/log/\$name.log
pid file = $1/run/\$name.pid
crash dir = $1/log
keyring = $1/keyring
[mon.a]
mon data = $1/mon
[osd]
osd data = $1/osd
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:$gateway_port
rgw data = $1/run
rgw dynamic resharding = false
CONF
}

# Gives a name a key in the keyring: NAME CAPABILITY…
make_key() {
  local keyring=$1 name=$2 capability
  shift 2
  local arguments=(--gen-key -n "$name")
  for capability in "$@"; do arguments+=(--cap "${capability%%:*}" "${capability#*:}"); done
  [ -e "$keyring" ] || arguments+=(--create-keyring)
  ceph-authtool "$keyring" "${arguments[@]}"
}

# Waits for a command to succeed: NAME COMMAND…
wait_for() {
  local name=$1
  shift
  for _ in $(seq 300); do
    if timeout 5 "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  say "$name is not there after 60 s"
  return 1
}

storage_is_up() { ceph osd stat | grep -q '1 up'; }

start() {
  local directory=$1 uuid
  mkdir -p "$directory"/{mon,osd,run,log}
  write_configuration "$directory"
  export CEPH_CONF=$directory/ceph.conf
  make_key "$directory/keyring" mon. 'mon:allow *'
  make_key "$directory/keyring" client.admin 'mon:allow *' 'osd:allow *'
  make_key "$directory/keyring" osd.0 'mon:allow *' 'osd:allow *'
  make_key "$directory/keyring" client.rgw.a 'mon:allow rwx' 'osd:allow rwx'
  monmaptool --create --fsid "$(ceph-conf --lookup fsid)" \
    --addv a "[v2:127.0.0.1:$monitor_port/0]" "$directory/monmap"
  ceph-mon --mkfs -i a --monmap "$directory/monmap" --keyring "$directory/keyring"
  ceph-mon -i a
  wait_for 'the monitor' ceph -s || return 1
  uuid=$(cat /proc/sys/kernel/random/uuid)
  ceph osd new "$uuid"
  ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
  ceph-osd -i 0
  ceph osd crush add osd.0 1.0 root=default host=world
  export -f storage_is_up
  wait_for 'the object storage daemon' bash -c storage_is_up || return 1
  radosgw -n client.rgw.a
  wait_for radosgw curl -s "http://127.0.0.1:$gateway_port/" || return 1
  radosgw-admin -n client.rgw.a user create --uid test --display-name test \
    --access-key "$access_key" --secret-key "$secret_key"
}

# By the clients of the tests' Python environment, which must come first in PATH.
make_bucket() {
  python3 - "http://127.0.0.1:$gateway_port" "$access_key" "$secret_key" "$bucket" <<'PYTHON'
import sys

sys.path.insert(0, "tests")
from world.store import client

*arguments, bucket = sys.argv[1:]
client(*arguments).create_bucket(Bucket=bucket)
PYTHON
}

if [ $# = 0 ] || [ -z "${DATASYNC_WORLD:-}" ]; then
  say 'usage: tests/world/enter.sh tests/world/radosgw.sh COMMAND…'
  exit 64
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
directory=$(mktemp -d "${TMPDIR:-/tmp}/radosgw.XXXXXX")
trap 'rm -rf "$directory"' EXIT
if ! { start "$directory" && make_bucket; } >"$directory/start.log" 2>&1; then
  tail -n 15 "$directory/start.log" "$directory"/log/*.log >&2
  say 'the store did not start; see above'
  exit 70
fi
export DATASYNC_TEST_S3_ENDPOINT=http://127.0.0.1:$gateway_port DATASYNC_TEST_S3_BUCKET=$bucket
export DATASYNC_TEST_S3_ACCESS_KEY=$access_key DATASYNC_TEST_S3_SECRET_KEY=$secret_key
status=0
"$@" || status=$?
exit $status
