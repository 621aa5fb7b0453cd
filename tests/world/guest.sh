#!/usr/bin/env bash
# Process 1 of a Linux kernel that runs as a program (user-mode-linux) and is an NFS server. What it
# does is in the folder that `directory` on the kernel's command line names:
#
#   modules/    lib/modules below it, for modprobe
#   address     of its network device, with the length of the prefix; without the file: loopback only
#   mount       if it is there, run at each boot, to mount file systems beside /dev/ubda, which is /
#   prepare     run at the first boot, to fill them
#   exports     lines of a path and its options, as exportfs takes them
#   command     run once the server answers; its output is `output`, its code `status`; then power off.
#               Without it, what is put there as do/NUMBER.sh is run, with its code in do/NUMBER.status
#   ready       made by the guest when the server answers
#
# Within the guest: `guest.sh stop` ends the NFS server and whatever it knows of its clients,
# `guest.sh start` begins it anew, with a grace period (RFC 8881 §8.4.2.1) that `guest.sh end-grace` ends.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
nfs_port=2049
mount_port=20048
lease_seconds=10
root=/run/root

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

wait_for() {
    for _ in $(seq 300); do
        if listening "$1"; then return 0; fi
        sleep 0.1
    done
    echo "guest: nothing listens on port $1 after 30 s"
    return 1
}

# nfsd serves no hostfs, and finds the paths of version 4 only where `/` itself can be served: so
# the image becomes the root, with everything else of the host's in it.
enter_image() {
    local entry
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t tmpfs tmpfs /run
    modprobe -d "$directory/modules" -a ipv6 nfsd
    # Debian has mountd look the groups of a user up by itself; here callers tell them.
    printf '[mountd]\nmanage-gids=n\n' >/run/nfs.conf
    mount --bind /run/nfs.conf /etc/nfs.conf
    mkdir "$root"
    mount /dev/ubda "$root"
    mkdir -p "$root/state/nfsdcltrack" "$root/run"
    touch "$root/state/etab" "$root/state/rmtab"
    # Also the kernel's own helpers keep their files there, not at the host's.
    mount --bind "$root/state" /var/lib/nfs
    for entry in /*; do
        if [ "$entry" = /run ]; then continue; fi
        if [ -L "$entry" ]; then
            cp -an "$entry" "$root/"
        elif [ -d "$entry" ]; then
            mkdir -p "$root$entry"
            mount --rbind "$entry" "$root$entry"
        fi
    done
    mount -t tmpfs tmpfs "$root/run"
    mkdir -p "$root/run/rpcbind" "$root/run/lock"
    exec chroot "$root" "$0" serve
}

start_network() {
    ip link set lo up
    if [ -e "$directory/address" ]; then
        ip addr add "$(cat "$directory/address")" dev eth0
        ip link set eth0 up
    fi
}

start_server() {
    local path options
    # As a machine with more memory has it.
    echo $((1024 * 1024)) >/proc/fs/nfsd/max_block_size
    echo $lease_seconds >/proc/fs/nfsd/nfsv4leasetime
    echo $lease_seconds >/proc/fs/nfsd/nfsv4gracetime
    while read -r path options; do
        exportfs -i -o "$options" "*:$path"
    done <"$directory/exports"
    rpc.nfsd 8
    wait_for $nfs_port
}

end_grace() { echo Y >/proc/fs/nfsd/v4_end_grace; }

serve() {
    local status=0
    [ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
    start_network
    if [ -x "$directory/mount" ]; then "$directory/mount"; fi
    if [ ! -e /state/prepared ]; then
        "$directory/prepare"
        touch /state/prepared
        is_first=1
    fi
    mount -t nfsd nfsd /proc/fs/nfsd
    rpcbind -f &
    wait_for 111
    start_server
    if [ -n "${is_first:-}" ]; then
        # Nobody can have anything to reclaim.
        end_grace
    fi
    rpc.mountd --port $mount_port
    wait_for $mount_port
    # What was prepared outlives a power cut.
    sync
    touch "$directory/ready"
    if [ -x "$directory/command" ]; then
        "$directory/command" >"$directory/output" 2>&1 || status=$?
        echo "$status" >"$directory/status"
    else
        obey
    fi
}

obey() {
    local script done status
    while true; do
        for script in "$directory"/do/*.sh; do
            done=${script%.sh}.status
            if [ ! -e "$script" ] || [ -e "$done" ]; then continue; fi
            status=0
            "$BASH" "$script" || status=$?
            sync
            echo "$status" >"$done.new"
            mv "$done.new" "$done"
            rm "$script"
        done
        sleep 0.1
    done
}

power_off() {
    sync
    echo o >/proc/sysrq-trigger
    sleep 10
}

case "${1:-boot}" in
    boot)
        trap power_off EXIT
        enter_image
        ;;
    serve)
        trap power_off EXIT
        serve
        ;;
    stop)
        rpc.nfsd 0
        while listening $nfs_port; do sleep 0.05; done
        ;;
    start) start_server ;;
    end-grace) end_grace ;;
esac
