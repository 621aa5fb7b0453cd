"""The appliance's root file system, outside of a machine."""

from contextlib import contextmanager

from .process import Failed, run

# Where packer/base puts it.
ROOT_OFFSET = 36864 * 512


@contextmanager
def mounted(disk, raw, writable=False):
    """The files of `disk`, of any format, in `raw`, which is made: a copy in which what is written stays."""
    point = raw.with_suffix(".root")
    point.mkdir()
    mode = "rw" if writable else "ro,noload"
    for command in (
        ["qemu-img", "convert", "-O", "raw", disk, raw],
        ["mount", "-o", f"{mode},loop,offset={ROOT_OFFSET}", raw, point],
    ):
        answer = run(command, timeout=300)
        if answer.returncode != 0:
            raise Failed(f"{command[0]}: {answer.stderr}")
    try:
        yield point
    finally:
        run(["umount", point])
