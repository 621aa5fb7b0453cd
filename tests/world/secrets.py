"""Looks for secrets where none may be."""

import base64
import urllib.parse
from pathlib import Path


def forms(secret):
    """How a secret may be written: as it is, encoded for URLs, in base64, in hex."""
    raw = secret.encode()
    yield raw
    yield urllib.parse.quote(secret, safe="").encode()
    yield base64.b64encode(raw).rstrip(b"=")[:-1]
    yield raw.hex().encode()


def leaks(secrets, places):
    """`{name: secret}` searched for in files below `places`; answers what was found where."""
    found = []
    for place in places:
        path = Path(place)
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        for file in files:
            content = file.read_bytes()
            for name, secret in secrets.items():
                if any(form in content for form in forms(secret)):
                    found.append(f"the secret of {name} is in {file}")
    return found
