"""An HTTP front of a store that answers some requests itself, and passes the others on."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

HOST = "127.0.0.1"
# Of one connection only: headers that are not passed on.
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


class Asked(NamedTuple):
    """A request without its body. `path` is as it was sent, with the query."""

    method: str
    path: str
    headers: dict


class Answer(NamedTuple):
    """What the gate says instead of the store: an error as S3 tells it."""

    status: int
    code: str
    # XML of further elements.
    more: str = ""

    def body(self):
        return f"<Error><Code>{self.code}</Code><Message>by the gate</Message>{self.more}</Error>".encode()


DENIED = Answer(403, "AccessDenied")


class Gate:
    """On `port`, before the store at `upstream`. `decide` is called with each request, and gives an Answer,
    or None for what is passed on."""

    def __init__(self, port, upstream):
        self.endpoint = f"http://{HOST}:{port}"
        self.upstream = upstream
        self.decide = None
        self._server = ThreadingHTTPServer((HOST, port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _handler(gate):  # noqa: N805: `self` is the handler, below
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                # A body of unknown length would have to be read in chunks: nobody sends one here.
                assert "chunked" not in self.headers.get("Transfer-Encoding", "")
                asked = Asked(self.command, self.path, dict(self.headers.items()))
                answer = gate.decide and gate.decide(asked)
                if answer:
                    headers = [("Content-Type", "application/xml")]
                    self._reply(answer.status, headers, answer.body())
                else:
                    self._reply(*gate.pass_on(asked, body))

            def _reply(self, status, headers, body):
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

        return Handler

    def pass_on(self, asked, body):
        """Status, headers and body of the store's answer."""
        connection = http.client.HTTPConnection(HOST, self.upstream, timeout=60)
        try:
            connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
            for name, value in asked.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            headers = [pair for pair in answer.getheaders() if pair[0].lower() not in HOP_BY_HOP]
            return answer.status, headers, answer.read()
        finally:
            connection.close()
