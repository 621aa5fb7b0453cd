"""bench-sink as a program: a store that keeps no content, and what it counted."""

import json
import urllib.request

from .process import Daemon, binary
from .secrets import remember
from .store import client

PORT = 9100


class Sink:
    """Stands where a store stands."""

    host = "127.0.0.1"
    port = PORT
    access_key = "AKIABENCHSINK0000001"
    secret_key = remember("the sink", "the sink does not look at signatures at all")
    endpoint = f"http://127.0.0.1:{PORT}"

    def __init__(self, logs):
        arguments = [binary("bench-sink"), "--listen", f"{self.host}:{self.port}"]
        self.server = Daemon("sink", arguments, logs / "sink.log")
        self.client = client(self.endpoint, self.access_key, self.secret_key)

    def start(self):
        self.server.start()
        self.server.wait_for_port(self.port)

    def bucket(self, name):
        self.client.create_bucket(Bucket=name)
        return name

    def stop(self):
        self.server.kill()

    def _manage(self, method, what):
        request = urllib.request.Request(f"{self.endpoint}/-/{what}", method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def reset(self):
        """Forgets every bucket, object and count."""
        self._manage("POST", "reset")

    def stats(self):
        """objects, bytes, and counts by name."""
        return json.loads(self._manage("GET", "stats"))
