#!/usr/bin/env bash
# Runs a command beside the Linux kernel's own NFS server, in user-mode-linux: a kernel that is a
# program, with this machine's files as its own and no virtual machine.
#
#   kernel.sh run -- COMMAND…   boots the kernel, runs COMMAND in it, beside the server, powers off,
#                               exits with COMMAND's code
#   kernel.sh check             says what is missing on this machine; exits 69 if anything is
#
# COMMAND sees the variables that ganesha.sh has, and DATASYNC_TEST_NFS_SERVER=kernel. It runs in
# the guest, so that the exports are local directories for it, too.
set -euo pipefail

self=$(realpath "${BASH_SOURCE[0]}")
world=$(dirname "$self")
image_size=8G # sparse
memory=1G
boot_seconds=120

say() { printf 'kernel.sh: %s\n' "$*" >&2; }

missing() {
    local command package found=0
    while read -r command package; do
        if ! command -v "$command" >/dev/null; then
            say "missing: $command (apt-get install $package)"
            found=1
        fi
    done <<'LIST'
linux.uml user-mode-linux
rpc.nfsd nfs-kernel-server
rpcbind rpcbind
modprobe kmod
mkfs.ext4 e2fsprogs
ip iproute2
unshare util-linux
LIST
    if [ "$(id -u)" != 0 ]; then
        say "missing: root, for namespaces and for the owners of files"
        found=1
    fi
    return $found
}

# The guest's part: what guest.sh says of the directory.
write_guest() {
    local directory=$1
    shift
    mkdir -p "$directory/modules/lib" "$directory/memory"
    ln -s /usr/lib/uml/modules "$directory/modules/lib/modules"
    truncate -s "$image_size" "$directory/image"
    mkfs.ext4 -q -F "$directory/image"
    cat >"$directory/prepare" <<PREPARE
#!/usr/bin/env bash
set -euo pipefail
. $(printf %q "$world")/exports.sh
make_tree /exports
PREPARE
    cat >"$directory/exports" <<'EXPORTS'
/exports/tree rw,no_root_squash,insecure,no_subtree_check
/exports/squashed rw,root_squash,anonuid=65534,anongid=65534,insecure,no_subtree_check
EXPORTS
    {
        echo '#!/usr/bin/env bash'
        export -p
        cat <<VARIABLES
export DATASYNC_TEST_NFS=127.0.0.1:2049:/exports/tree
export DATASYNC_TEST_NFS_SQUASHED=127.0.0.1:2049:/exports/squashed
export DATASYNC_TEST_NFS_DIR=$(printf %q "$directory")
export DATASYNC_TEST_NFS_CONTROL=$(printf %q "$world/guest.sh")
export DATASYNC_TEST_NFS_SERVER=kernel
VARIABLES
        printf 'cd %q\nexec' "$PWD"
        printf ' %q' "$@"
        echo
    } >"$directory/command"
    chmod 0755 "$directory/prepare" "$directory/command"
}

# Process 1 of the namespaces: when it ends, the kernel ends everything else in them.
inside() {
    local directory=$1 guest
    mount -t tmpfs tmpfs "$directory/memory" # the guest's memory is a file there
    TMPDIR=$directory/memory linux.uml mem="$memory" root=/dev/root rootfstype=hostfs rootflags=/ rw \
        ubd0="$directory/image" con=null con0=null,fd:1 quiet \
        directory="$directory" init="$world/guest.sh" </dev/null >"$directory/console" 2>&1 &
    guest=$!
    for _ in $(seq $((boot_seconds * 10))); do
        if [ -e "$directory/ready" ] || ! kill -0 $guest 2>/dev/null; then break; fi
        sleep 0.1
    done
    if [ ! -e "$directory/ready" ]; then
        say "the guest's NFS server does not answer after $boot_seconds s"
        tail -n 40 "$directory/console" >&2
        return 70
    fi
    touch "$directory/output"
    tail -n +1 -s 0.2 --pid=$guest -f "$directory/output"
    if [ ! -e "$directory/status" ]; then
        say "the guest ended before the command"
        tail -n 40 "$directory/console" >&2
        return 70
    fi
    return "$(cat "$directory/status")"
}

run() {
    local status=0
    if ! missing; then
        say "not run: $*"
        return 69
    fi
    # Not local: the trap runs after this function.
    directory=$(mktemp -d "${TMPDIR:-/tmp}/kernel.XXXXXX")
    trap 'rm -rf "$directory"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    write_guest "$directory" "$@"
    unshare --mount --pid --fork --kill-child --mount-proc \
        "$BASH" "$self" inside "$directory" || status=$?
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
    *)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$self" >&2
        exit 64
        ;;
esac
