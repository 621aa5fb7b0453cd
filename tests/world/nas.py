"""quickstart-nas with a synthetic tree, which exists only as arithmetic."""

from .process import Daemon, binary

PORT = 2050


class Nas:
    """`directories` in the root with `files` each, of `size` bytes."""

    host = f"127.0.0.1:{PORT}"

    def __init__(self, directories, files, size, logs):
        shape = f"{directories},{files},{size}"
        arguments = [binary("quickstart-nas"), "--synthetic", shape, "--listen", self.host]
        self.server = Daemon("nas", arguments, logs / f"nas-{shape}.log")

    def start(self):
        self.server.start()
        self.server.wait_for_port(PORT)
        return self

    def stop(self):
        self.server.kill()
