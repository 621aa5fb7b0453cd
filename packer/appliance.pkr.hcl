# The appliance: the agent on a base disk. packer/build gives the variables; see README.md here.

variable "base_image" {
  type        = string
  description = "Base disk, of packer/base."
}

variable "payload" {
  type        = string
  description = "Archive (tar) with what is unpacked at /, and the agent's package as /run/payload/agent.deb."
}

variable "output_directory" {
  type        = string
  description = "Is made; must not be there yet."
}

variable "accelerator" {
  type        = string
  description = "Of QEMU: kvm, or tcg where the CPU cannot virtualise."
  default     = "kvm"
}

variable "cpu" {
  type    = string
  default = "host"
}

variable "serial_log" {
  type        = string
  description = "File for what the machine says while it is built."
  default     = "/dev/null"
}

source "qemu" "appliance" {
  iso_url          = var.base_image
  iso_checksum     = "none"
  disk_image       = true
  disk_size        = "8192M"
  format           = "qcow2"
  disk_compression = true
  disk_discard     = "unmap"
  disk_interface   = "virtio-scsi"
  net_device       = "virtio-net"
  accelerator      = var.accelerator
  headless         = true
  cpus             = 2
  memory           = 1024
  output_directory = var.output_directory
  vm_name          = "disk.qcow2"
  ssh_username     = "root"
  ssh_password     = "packer"
  ssh_timeout      = "15m"
  boot_wait        = "1s"
  # Takes ssh away: packer's own connection would not survive it in the foreground.
  shutdown_command = "systemd-run --collect --unit=seal /bin/sh /run/payload/seal"
  shutdown_timeout = "10m"
  qemuargs         = [["-cpu", var.cpu], ["-serial", "file:${var.serial_log}"]]
}

build {
  sources = ["source.qemu.appliance"]

  provisioner "file" {
    source      = var.payload
    destination = "/run/payload.tar"
  }

  provisioner "shell" {
    inline = [
      "set -eu",
      "tar -x --no-same-owner -C / -f /run/payload.tar",
      "sh /run/payload/provision",
    ]
  }
}
