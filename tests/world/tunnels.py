"""An HTTP proxy that makes tunnels (CONNECT), and knows who asked for which."""

import base64
import socket
import socketserver
import threading

HEAD_MAX = 8192
SECONDS = 120


class Tunnels(socketserver.ThreadingTCPServer):
    """Of `user` with `password`; `asked` has every target that was asked for, in order."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port, user, password, hosts=None):
        super().__init__(("127.0.0.1", port), _Tunnel)
        self.port = port
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.expected = f"basic {credentials}".lower()
        self.asked = []
        # What names and addresses of the clients are here.
        self.hosts = hosts or {}
        self._serving = threading.Thread(target=self.serve_forever, daemon=True)

    def start(self):
        self._serving.start()
        return self

    def stop(self):
        self.shutdown()
        self.server_close()


class _Tunnel(socketserver.StreamRequestHandler):
    timeout = SECONDS

    def handle(self):
        verb, target, _ = self.rfile.readline(HEAD_MAX).decode().split()
        headers = {}
        while (line := self.rfile.readline(HEAD_MAX).strip()):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip().lower()
        if headers.get("proxy-authorization") != self.server.expected:
            self.wfile.write(b"HTTP/1.1 407 Who?\r\nproxy-authenticate: basic\r\n\r\n")
            return
        self.server.asked.append(f"{verb} {target}")
        host, _, port = target.rpartition(":")
        try:
            there = socket.create_connection((self.server.hosts.get(host, host), int(port)), SECONDS)
        except OSError:
            self.wfile.write(b"HTTP/1.1 502 Nobody\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 Yes\r\n\r\n")
        back = threading.Thread(target=_copy, args=(there, self.connection), daemon=True)
        back.start()
        _copy(self.connection, there)
        back.join(SECONDS)
        there.close()


def _copy(here, there):
    try:
        while data := here.recv(65536):
            there.sendall(data)
        there.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # either side has gone: so does the tunnel
