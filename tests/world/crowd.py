"""A crowd of connections that do nothing, in a process of its own: many files are open.

crowd.py PORT TLS PLAIN: opens so many connections with a finished TLS handshake and so many
without one, from several addresses; says "open", and once its standard input ends, how many of
them the server has left open.
"""

import resource
import socket
import sys

from http2 import trusting_nobody

SOURCES = 40


def connected(port, number):
    made = socket.socket()
    # Ports are chosen for the pair of addresses.
    made.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    made.bind((f"127.0.3.{number % SOURCES + 1}", 0))
    made.settimeout(60)
    made.connect(("127.0.0.1", port))
    return made


def is_open(made):
    made.setblocking(False)
    try:
        # Below TLS, where session tickets may wait to be read: they are taken first.
        while octets := socket.socket.recv(made, 65536):
            del octets
        return False
    except (BlockingIOError, InterruptedError):
        return True
    except OSError:
        return False


def main():
    port, secured, plain = map(int, sys.argv[1:])
    wanted = secured + plain + 100
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    context = trusting_nobody()
    crowd, refused = [], 0
    for number in range(secured + plain):
        try:
            made = connected(port, number)
            crowd.append(made)
            if number < secured:
                crowd[-1] = context.wrap_socket(made, server_hostname="localhost")
        except OSError:
            # Cut off already, for one that came later.
            refused += 1
    print("open", len(crowd), refused, flush=True)
    sys.stdin.read()
    print(sum(map(is_open, crowd)), flush=True)


if __name__ == "__main__":
    main()
