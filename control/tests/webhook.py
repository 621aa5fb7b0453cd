"""A webhook that the test holds in its hand."""

import http.server
import json
import threading
import time

PATIENCE = 60


class Webhook:
    """Answers `status` after `held` is set; keeps what it was sent."""

    def __init__(self, port=0, tls=None):
        self.status, self.requests = 200, []
        self.held = threading.Event()
        self.held.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.append((self.path, dict(self.headers.items()), body))
                outer.held.wait(PATIENCE)
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self):
        return [json.loads(body) for _, _, body in self.requests]

    def close(self):
        self.held.set()
        self.server.shutdown()
        self.server.server_close()


def eventually(found):
    """Waits until `found` gives something; gives it back."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("did not happen in time")
