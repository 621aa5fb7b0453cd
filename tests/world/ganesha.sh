#!/usr/bin/env bash
# Runs a command beside nfs-ganesha, in a network, mount and process namespace of their own.
#
#   ganesha.sh run -- COMMAND…   starts rpcbind and nfs-ganesha over a prepared tree, runs COMMAND
#                                beside them, stops everything, exits with COMMAND's code
#   ganesha.sh check             says what is missing on this machine; exits 69 if anything is
#   ganesha.sh stop | start      inside `run` only: kills the NFS server, starts it again
#   ganesha.sh end-grace         inside `run` only: ends what guest.sh calls a grace period
#
# COMMAND sees, in its environment:
#   DATASYNC_TEST_NFS           host:port:export of a tree that root may read
#   DATASYNC_TEST_NFS_SQUASHED  the same of an export that turns root into nobody
#   DATASYNC_TEST_NFS_DIR       the server's directory: exports, configuration, log
#   DATASYNC_TEST_NFS_CONTROL   this script, for stop and start
#   DATASYNC_TEST_NFS_SERVER    ganesha
# The exports are local directories too, so that a test can compare and change what is served.
# Variable for the caller: DATASYNC_WORLD_TMPFS=1 puts the exports on a tmpfs.
set -euo pipefail

self=$(realpath "${BASH_SOURCE[0]}")
. "$(dirname "$self")/exports.sh"
nfs_port=2049
mount_port=20048

say() { printf 'ganesha.sh: %s\n' "$*" >&2; }

missing() {
    local command package found=0
    while read -r command package; do
        if ! command -v "$command" >/dev/null; then
            say "missing: $command (apt-get install $package)"
            found=1
        fi
    done <<'LIST'
ganesha.nfsd nfs-ganesha
rpcbind rpcbind
ip iproute2
unshare util-linux
LIST
    if ! compgen -G '/usr/lib/*/ganesha/libfsalvfs.so' >/dev/null; then
        say "missing: libfsalvfs.so (apt-get install nfs-ganesha-vfs)"
        found=1
    fi
    if [ "$(id -u)" != 0 ]; then
        say "missing: root, for namespaces and for nfs-ganesha's VFS back end"
        found=1
    fi
    return $found
}

write_configuration() {
    local plugins
    plugins=$(dirname "$(compgen -G '/usr/lib/*/ganesha/libfsalvfs.so' | head -n 1)")
    cat >"$1/ganesha.conf" <<CONF
NFS_CORE_PARAM {
    NFS_Port = $nfs_port; MNT_Port = $mount_port; NLM_Port = 20049; Rquota_Port = 20050;
    Enable_RQUOTA = false; Enable_NLM = false; Enable_UDP = false; Protocols = 3, 4;
    mount_path_pseudo = false; Plugins_Dir = $plugins;
}
NFS_KRB5 { Active_krb5 = false; }
NFSv4 {
    Minor_Versions = 0, 1, 2; Only_Numeric_Owners = true; Delegations = false; Lease_Lifetime = 10;
    Graceless = true; RecoveryBackend = fs; RecoveryRoot = $1/recovery; }
EXPORT_DEFAULTS {
    Access_Type = RW; Squash = No_Root_Squash; SecType = sys; Protocols = 3, 4; Transports = TCP;
    Attr_Expiration_Time = 0; # tests change the exported directories behind the server's back
    MaxRead = 1048576; PrefRead = 1048576; PrefReaddir = 1048576;
}
EXPORT { Export_Id = 1; Path = $1/exports/tree; Pseudo = $1/exports/tree; FSAL { Name = VFS; } }
EXPORT {
    Export_Id = 2; Path = $1/exports/squashed; Pseudo = $1/exports/squashed; FSAL { Name = VFS; }
    Squash = Root_Squash; Anonymous_uid = 65534; Anonymous_gid = 65534;
}
LOG { Default_Log_Level = EVENT; }
CONF
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

wait_for() {
    local port=$1 name=$2
    for _ in $(seq 300); do
        if listening "$port"; then return 0; fi
        sleep 0.1
    done
    say "$name does not listen on port $port after 30 s"
    return 1
}

start_server() {
    local directory=$1
    ganesha.nfsd -f "$directory/ganesha.conf" -L "$directory/ganesha.log" -p "$directory/ganesha.pid" \
        -N NIV_EVENT >>"$directory/ganesha.out" 2>&1
    if ! { wait_for $nfs_port nfs-ganesha && wait_for $mount_port 'its MOUNT service'; }; then
        tail -n 20 "$directory/ganesha.log" >&2
        return 1
    fi
}

stop_server() {
    local pid
    pid=$(cat "$1/ganesha.pid")
    kill -KILL "$pid"
    while listening $nfs_port; do sleep 0.05; done
    rm -f "$1/ganesha.pid"
}

# Process 1 of the namespaces: when it ends, the kernel ends everything else in them.
inside() {
    local directory=$1 status=0
    shift
    ip link set lo up
    mount -t tmpfs tmpfs /run
    mkdir -p /run/ganesha /run/rpcbind /run/lock "$directory/recovery" "$directory/exports"
    case "${DATASYNC_WORLD_TMPFS:-}$(stat -f -c %T "$directory")" in
        1* | *overlay*) mount -t tmpfs tmpfs "$directory/exports" ;; # file handles need a real file system
    esac
    make_tree "$directory/exports"
    write_configuration "$directory"
    rpcbind -f >"$directory/rpcbind.out" 2>&1 &
    wait_for 111 rpcbind || return 70
    start_server "$directory" || return 70
    export DATASYNC_TEST_NFS="127.0.0.1:$nfs_port:$directory/exports/tree"
    export DATASYNC_TEST_NFS_SQUASHED="127.0.0.1:$nfs_port:$directory/exports/squashed"
    export DATASYNC_TEST_NFS_DIR="$directory"
    export DATASYNC_TEST_NFS_CONTROL="$self" DATASYNC_TEST_NFS_SERVER=ganesha
    "$@" || status=$?
    return $status
}

run() {
    local status=0
    if ! missing; then
        say "not run: $*"
        return 69
    fi
    # Not local: the trap runs after this function.
    directory=$(mktemp -d "${TMPDIR:-/tmp}/ganesha.XXXXXX")
    chmod 0755 "$directory"
    trap 'rm -rf "$directory"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    unshare --net --mount --pid --fork --kill-child --mount-proc \
        "$BASH" "$self" inside "$directory" "$@" || status=$?
    return $status
}

verb=${1:-}
if [ $# -gt 0 ]; then shift; fi
if [ "${1:-}" = -- ]; then shift; fi
case "$verb" in
    run)
        if [ $# = 0 ]; then say "run what?"; exit 64; fi
        run "$@"
        ;;
    check)
        if ! missing; then exit 69; fi
        ;;
    inside) inside "$@" ;;
    stop) stop_server "$DATASYNC_TEST_NFS_DIR" ;;
    start) start_server "$DATASYNC_TEST_NFS_DIR" ;;
    end-grace) ;; # it is configured to have none
    *)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$self" >&2
        exit 64
        ;;
esac
