"""A TCP proxy that delays, cuts and damages what passes."""

import itertools
import select
import socket
import struct
import threading
from dataclasses import dataclass

HOST = "127.0.0.1"
PIECE = 64 * 1024
# A connection that is closed with this setting is reset.
RESET = struct.pack("ii", 1, 0)


class Cut(Exception):
    """Raised by a fault: both sides of the connection are reset."""


@dataclass
class Piece:
    """Bytes on their way."""

    # Counted from 1, in the order in which connections were accepted.
    connection: int
    # The port that the client connected from.
    source_port: int
    # Towards the server.
    is_upward: bool
    # Of the first byte, in its direction of the connection.
    offset: int
    data: bytes


class Proxy:
    """From `port` to `upstream`, both on this host. `fault` is called with each piece, in a thread of
    its connection, and answers what passes instead; it may wait, and it may raise `Cut`."""

    def __init__(self, port, upstream):
        self.host = HOST
        self.port = port
        self.upstream = upstream
        self.fault = None
        # The most bytes of a piece.
        self.piece = PIECE
        self._listener = socket.create_server((HOST, port))
        self._numbers = itertools.count(1)
        self._ended = threading.Event()
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def start(self):
        self._accepting.start()
        return self

    def stop(self):
        self._ended.set()
        self._accepting.join(10)
        self._listener.close()

    def heal(self):
        """Everything passes from now on."""
        self.fault = None
        self.piece = PIECE

    def _accept(self):
        self._listener.settimeout(0.2)
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            arguments = (next(self._numbers), client)
            threading.Thread(target=self._serve, args=arguments, daemon=True).start()

    def _serve(self, number, client):
        with client:
            client.settimeout(60)
            try:
                server = socket.create_connection((HOST, self.upstream), timeout=60)
            except OSError:
                return
            with server:
                try:
                    self._pass(number, client, server)
                except (Cut, OSError):
                    for side in (client, server):
                        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def _pass(self, number, client, server):
        """Both directions, until both have ended."""
        source_port = client.getpeername()[1]
        to = {client: server, server: client}
        offsets = {client: 0, server: 0}
        while to and not self._ended.is_set():
            for side in select.select(list(to), [], [], 0.2)[0]:
                data = side.recv(self.piece)
                if not data:
                    to.pop(side).shutdown(socket.SHUT_WR)
                    continue
                piece = Piece(number, source_port, side is client, offsets[side], data)
                offsets[side] += len(data)
                fault = self.fault
                to[side].sendall(data if fault is None else fault(piece))
