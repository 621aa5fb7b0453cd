"""bench-sink as a program: a store that keeps no content, and what it counted."""

import json
import urllib.request

from .process import Daemon, binary
from .secrets import remember
from .store import client

PORT = 9100
TLS_PORT = 9101


class Sink:
    """Stands where a store stands."""

    host = "127.0.0.1"
    port = PORT
    access_key = "AKIABENCHSINK0000001"
    secret_key = remember("the sink", "the sink does not look at signatures at all")
    endpoint = f"http://127.0.0.1:{PORT}"

    tls_port = TLS_PORT
    tls_endpoint = f"https://127.0.0.1:{TLS_PORT}"

    def __init__(self, logs):
        # What clients of HTTPS must trust; written when it starts.
        self.authority = logs / "sink-ca.pem"
        logs.mkdir(parents=True, exist_ok=True)
        arguments = [binary("bench-sink"), "--listen", f"{self.host}:{self.port}"]
        arguments += ["--tls-listen", f"{self.host}:{self.tls_port}"]
        arguments += ["--authority-file", self.authority]
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

    def forget_counts(self):
        """Keeps buckets and objects."""
        self._manage("POST", "forget-counts")

    def mark(self):
        """Starts the clock of `resumed_seconds` for the uploads that are open now."""
        self._manage("POST", "mark")

    def stats(self):
        """objects and bytes that are there; counts by name; bytes that arrived so far; bytes
        received, of bodies that ended or were cut off, and the largest body; resumed_seconds: from
        the mark to the first byte of a part of an upload that was open then, or None."""
        return json.loads(self._manage("GET", "stats"))
