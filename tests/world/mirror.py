"""A mirror of Debian packages over HTTP, with packages made for it."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from .process import Failed, run


def package(folder, name, version):
    """A package with nothing in it."""
    root = folder / f"{name}-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: Nobody <nobody@example.net>\nDescription: Nothing\n"
    )
    file = folder / f"{name}_{version}_all.deb"
    answer = run(["dpkg-deb", "--root-owner-group", "--build", root, file])
    if answer.returncode != 0:
        raise Failed(f"dpkg-deb: {answer.stderr}")
    return file


class Mirror:
    """Answers nobody until it is started."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        # Paths, in their order.
        self.asked = []
        self._server = None

    def add(self, suite, packages, **release):
        """A suite with these packages; `release` is what its Release says."""
        paragraphs = []
        for file in packages:
            into = self.folder / "pool" / file.name
            into.parent.mkdir(parents=True, exist_ok=True)
            into.write_bytes(file.read_bytes())
            described = run(["dpkg-deb", "--field", file]).stdout.strip()
            digest = hashlib.sha256(into.read_bytes()).hexdigest()
            paragraphs.append(
                f"{described}\nFilename: pool/{file.name}\n"
                f"Size: {into.stat().st_size}\nSHA256: {digest}\n"
            )
        listed = "\n".join(paragraphs).encode()
        path = "main/binary-amd64/Packages"
        folder = self.folder / "dists" / suite
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(listed)
        said = {"Suite": suite, "Codename": suite, "Architectures": "amd64", "Components": "main"} | release
        lines = "".join(f"{name}: {value}\n" for name, value in said.items())
        digest = hashlib.sha256(listed).hexdigest()
        (folder / "Release").write_text(f"{lines}SHA256:\n {digest} {len(listed)} {path}\n")

    def start(self):
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self):  # noqa: N802, the name is http.server's
                asked.append(self.path)
                super().do_GET()

            def log_message(self, *_):
                """What was asked is in `asked`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), partial(Handler, directory=self.folder))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
