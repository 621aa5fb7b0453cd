"""Looks for secrets where none may be."""

import base64
import urllib.parse
from pathlib import Path

# What the worlds of this process know, and the only files that may hold some of it.
_known = {}
_permitted = set()


def remember(name, secret):
    """From now on the secret is looked for wherever `assert_no_secrets` looks; answers it."""
    _known[secret] = name
    return secret


def permit(secret, path):
    """Excepts one file, which the test itself wrote with this secret in it."""
    _permitted.add((secret, Path(path)))


def assert_no_secrets(*places):
    """No secret that was remembered is in a file below `places`."""
    assert not (found := _search(_known, places, _permitted)), "\n".join(found)


def forms(secret):
    """How a secret may be written: as it is, encoded for URLs, in base64, in hex."""
    raw = secret.encode()
    yield raw
    yield urllib.parse.quote(secret, safe="").encode()
    yield base64.b64encode(raw).rstrip(b"=")[:-1]
    yield raw.hex().encode()


def leaks(secrets, places):
    """`{name: secret}` searched for in files below `places`; answers what was found where."""
    return _search({secret: name for name, secret in secrets.items()}, places)


def _search(names, places, permitted=frozenset()):
    found = []
    written = {secret: set(forms(secret)) for secret in names}
    for place in places:
        path = Path(place)
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        for file in files:
            content = file.read_bytes()
            for secret, name in names.items():
                if (secret, file) in permitted:
                    continue
                if any(form in content for form in written[secret]):
                    found.append(f"the secret of {name} is in {file}")
    return found
