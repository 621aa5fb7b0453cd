"""HTTP/2 by hand (RFC 9113), for clients that do what no library lets them do."""

import socket
import ssl
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS = 0x1, 0x4
ENHANCE_YOUR_CALM, REFUSED_STREAM = 0xB, 0x7
AWAIT_ACTIVATION = "/datasync.agent.v1.Enrollment/AwaitActivation"
ATTACH = "/datasync.agent.v1.Session/Attach"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name, value):
    """A header, literally (RFC 7541 6.2.3)."""
    def text(shown):
        return (bytes([len(shown)]) if len(shown) < 127 else long_length(len(shown))) + shown

    return b"\x10" + text(name.encode()) + text(value.encode())


def long_length(length):
    encoded, rest = b"\x7f", length - 127
    while rest >= 128:
        encoded += bytes([rest % 128 + 128])
        rest //= 128
    return encoded + bytes([rest])


def call(path):
    """The headers of a gRPC call."""
    fields = {":method": "POST", ":scheme": "https", ":path": path, ":authority": "localhost",
              "content-type": "application/grpc", "te": "trailers"}
    return b"".join(field(name, value) for name, value in fields.items())


def trusting_nobody():
    """TLS as a stranger speaks it: who answers does not matter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Connection:
    """A connection to the agents' port, without a certificate."""

    def __init__(self, port, source="127.0.0.1", preface=PREFACE + frame(SETTINGS)):
        plain = socket.create_connection(("127.0.0.1", port), 30, (source, 0))
        context = trusting_nobody()
        context.set_alpn_protocols(["h2"])
        self.stream = context.wrap_socket(plain, server_hostname="localhost")
        self.stream.sendall(preface)

    def send(self, octets):
        """Whether the server still takes what is sent."""
        try:
            self.stream.sendall(octets)
            return True
        except OSError:
            return False

    def frames(self, seconds):
        """What the server sends until it is silent for so long, or ends: kind, stream, payload."""
        self.stream.settimeout(seconds)
        held = b""
        while True:
            while len(held) >= 9 and len(held) >= 9 + (length := int.from_bytes(held[:3], "big")):
                kind, stream = held[3], int.from_bytes(held[5:9], "big")
                yield kind, stream, held[9:9 + length]
                held = held[9 + length:]
            try:
                more = self.stream.recv(65536)
            except TimeoutError:
                return
            except OSError:
                more = b""
            if not more:
                yield None, 0, b""
                return
            held += more

    def verdict(self, seconds=10):
        """How the server ends the connection: a code of GOAWAY, "closed", or None if it does not."""
        ended = None
        for kind, _, payload in self.frames(seconds):
            if kind == GOAWAY:
                ended = int.from_bytes(payload[4:8], "big")
            elif kind is None:
                return "closed" if ended is None else ended
        return ended

    def close(self):
        self.stream.close()
