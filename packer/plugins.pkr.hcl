# For Packer from 1.7 on, which loads its builders as plugins: `packer init packer`. Debian's 1.6.6 has
# them built in and does not know this block: name appliance.pkr.hcl alone there.
packer {
  required_plugins {
    qemu = {
      version = ">= 1.1.0"
      source  = "github.com/hashicorp/qemu"
    }
  }
}
