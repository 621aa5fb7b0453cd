# Installs what the tests need and the machine lacks. Sourced by tests/run, which sets `cache`.

packages_base=(binutils ca-certificates curl e2fsprogs faketime iproute2 libnfs-utils netbase
  nfs-ganesha nfs-ganesha-vfs openssl postgresql procps python3 python3-pip python3-venv rpcbind
  util-linux)
packages_kernel=(e2fsprogs kmod nfs-kernel-server user-mode-linux)
packages_image=(jq musl-tools podman qemu-utils runc)
packages_vm=(dosfstools e2fsprogs fdisk grub-efi-amd64-bin grub-pc-bin iputils-ping mmdebstrap mtools
  ovmf packer qemu-system-x86 qemu-utils seabios xorriso)
packages_full=(ceph-common ceph-mon ceph-osd radosgw)

# Prints the packages of "$@" that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
}

# Installs the packages of "$@"; servers among them are not started.
install_packages() {
  local missing policy=/usr/sbin/policy-rc.d made_policy=
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} = 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    echo "these packages are missing and there is no apt-get: ${missing[*]}"
    return 1
  fi
  local become=()
  if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      echo "not root, and these packages are missing: apt-get install ${missing[*]}"
      return 1
    fi
    become=(sudo -n)
  fi
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${become[@]}" tee $policy >/dev/null
    "${become[@]}" chmod 755 $policy
    made_policy=1
  fi
  local result=0 round
  "${become[@]}" apt-get update -q
  # apt removes what does not fit what it installs, be it on the list: that is installed in a second round.
  for round in 1 2; do
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q --no-install-recommends "${missing[@]}" || result=$?
    mapfile -t missing < <(missing_packages "$@")
    [ $result = 0 ] && [ ${#missing[@]} != 0 ] || break
  done
  [ ${#missing[@]} = 0 ] || result=1
  [ -z "$made_policy" ] || "${become[@]}" rm -f $policy
  return $result
}

# nfs-ganesha finds file systems by /etc/mtab, which a bare root file system lacks.
install_mount_table() {
  [ -e /etc/mtab ] || [ "$(id -u)" != 0 ] || ln -s ../proc/self/mounts /etc/mtab
}

# Makes the Python environment of tests/requirements.txt in the cache, once per content.
install_python() {
  local venv=$cache/venv stamp
  stamp=$(sha256sum tests/requirements.txt | cut -d' ' -f1)
  [ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ] && return 0
  rm -rf "$venv" &&
    python3 -m venv "$venv" &&
    "$venv/bin/pip" install -q --disable-pip-version-check -r tests/requirements.txt &&
    echo "$stamp" >"$venv/stamp"
}
