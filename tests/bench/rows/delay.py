"""Two milliseconds of round trip between agent and NFS server, added by a TCP proxy."""

import socket
import struct
import time
from contextlib import contextmanager
from statistics import median

from bench.contestants.ours import Ours
from bench.measures import Outcome, at_least
from bench.result import first_copies, middle
from bench.table import table
from world import nfs
from world.process import Daemon, binary

MICROSECONDS_EACH_WAY = 1000
PORT = 3049
PINGS = 200


def delay(setting):
    large, small = setting.large(), setting.small()
    with setting.site() as site, _proxies(setting.logs) as proxies:
        pings = {name: _round_trip(port) for name, port in proxies.items()}
        results = {
            tree: first_copies(setting, f"delay, {tree}", _contestants(site, proxies, tree))
            for tree in (large, small)
        }
    rates = {name: middle(runs, "gib_per_second") for name, runs in results[large].items()}
    files = {name: middle(runs, "files_per_second") for name, runs in results[small].items()}
    rows = [
        [name, f"{pings[name] * 1e3:.2f}", f"{rates[name]:.3f}", f"{files[name]:,.0f}"]
        for name in proxies
    ]
    head = ["added RTT", "RTT of a NULL call, ms", f"{large}: GiB/s", f"{small}: files/s"]
    return Outcome(
        [
            at_least("RTT + 2 ms: large / undelayed", rates["2 ms"] / rates["0"], 0.8),
            at_least("RTT + 2 ms: small files", files["2 ms"], 10_000, "/s", 0),
        ],
        [table(head, rows)],
    )


def _contestants(site, proxies, tree):
    return [(_Through(site, name, port), tree) for name, port in proxies.items()]


class _Through(Ours):
    """The agent, whose way to the NFS server leads through a proxy."""

    def __init__(self, site, name, port):
        super().__init__(site, host=f"127.0.0.1:{port}")
        self.name = name


@contextmanager
def _proxies(logs):
    """The port of NFS behind each delay, by its name. The portmapper still names MOUNT's own."""
    ways = {"0": (PORT, 0), "2 ms": (PORT + 1, MICROSECONDS_EACH_WAY)}
    servers = []
    try:
        for port, microseconds in ways.values():
            arguments = [binary("bench-delay"), "--microseconds", microseconds]
            arguments += ["--forward", f"127.0.0.1:{port}=127.0.0.1:{nfs.PORT}"]
            servers.append(Daemon("delay", arguments, logs / f"delay-{microseconds}.log").start())
            servers[-1].wait_for_port(port)
        yield {name: port for name, (port, _) in ways.items()}
    finally:
        for server in servers:
            server.kill()


def _round_trip(port):
    """Seconds that a NULL call of NFS takes, as a median."""
    # RFC 5531: xid, CALL, RPC version 2, program 100003 version 3, procedure 0, no credentials.
    call = struct.pack(">10I", 1, 0, 2, 100003, 3, 0, 0, 0, 0, 0)
    message = struct.pack(">I", 0x8000_0000 | len(call)) + call
    taken = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(PINGS):
            began = time.monotonic()
            connection.sendall(message)
            if not connection.recv(4096):
                raise ConnectionError("the NFS server hung up")
            taken.append(time.monotonic() - began)
    return median(taken)
