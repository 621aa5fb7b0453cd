"""What stands for EFS: NFS 4.1 of nfs-ganesha behind a front that speaks TLS, as its mount targets do."""

import asyncio
import contextlib
import ssl
import threading

from .control import ACCOUNT, REGION
from .process import Failed, run

HOST = "127.0.0.1"
PIECE = 256 * 1024
NETWORK = {
    "SubnetArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/subnet-0123abcd",
    "SecurityGroupArns": [f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/sg-0123abcd"],
}


def file_system_arn(file_system):
    return f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:file-system/{file_system}"


def access_point_arn(access_point):
    return f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:access-point/{access_point}"


def dns_name(file_system):
    return f"{file_system}.efs.{REGION}.amazonaws.com"


class Certificate:
    """Of a server that is each of `hosts`, signed by itself: whoever trusts `pem` trusts it and no other."""

    def __init__(self, directory, name, *hosts):
        self.pem, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key]
        names = ",".join(f"DNS:{host}" for host in hosts)
        command += ["-addext", f"subjectAltName={names}"]
        command += ["-addext", "basicConstraints=critical,CA:FALSE", "-out", self.pem]
        made = run(command)
        if made.returncode != 0:
            raise Failed(f"no certificate: {made.stderr}")

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem, self.key)
        return context


class Front:
    """Speaks TLS on `port` and passes on what is in it."""

    def __init__(self, port, upstream, certificate):
        self.port = port
        self.upstream = upstream
        self.context = certificate.context()
        self.host = f"{HOST}:{port}"
        # Version and cipher of each connection that was made.
        self.connections = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server = None
        self._writers = set()

    def start(self):
        self._thread.start()
        self._run(self._listen())
        return self

    def stop(self):
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def become(self, certificate):
        """Shows another certificate, also to those who were connected."""
        self._run(self._close())
        self.context = certificate.context()
        self._run(self._listen())

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _listen(self):
        self._server = await asyncio.start_server(
            self._serve, HOST, self.port, ssl=self.context, limit=PIECE
        )

    async def _close(self):
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader, writer):
        self.connections.append(writer.get_extra_info("cipher"))
        self._writers.add(writer)
        try:
            inner_reader, inner_writer = await asyncio.open_connection(
                HOST, self.upstream, limit=PIECE
            )
            self._writers.add(inner_writer)
            await asyncio.gather(
                self._pass_on(reader, inner_writer), self._pass_on(inner_reader, writer)
            )
        except OSError:
            pass
        finally:
            for one in (writer, inner_writer):
                self._writers.discard(one)
                one.transport.abort()

    async def _pass_on(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                writer.write(data)
                await writer.drain()
        writer.close()
