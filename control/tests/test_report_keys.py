"""Public keys of task reports: for everybody, and kept when they are replaced."""

import base64
import hashlib
import json
import urllib.error
import urllib.request

import pytest


def published(control):
    with urllib.request.urlopen(f"{control.endpoint}/report-keys", timeout=30) as answer:
        text = answer.read().decode()
    assert "PRIVATE" not in text
    assert json.loads(text) == json.loads(control.command("report", "keys"))
    return json.loads(text)["Keys"]


def der(pem):
    return base64.b64decode("".join(pem.strip().splitlines()[1:-1]))


def test_keys_that_are_replaced_stay_published(own_control):
    assert published(own_control) == []
    first = own_control.command("report", "rotate-key").strip()
    assert [key["KeyId"] for key in published(own_control)] == [first]
    second = own_control.command("report", "rotate-key").strip()
    new, old = published(own_control)
    assert (new["KeyId"], old["KeyId"]) == (second, first) and first != second
    assert "NotAfter" not in new and old["NotBefore"] <= old["NotAfter"]
    for key in (new, old):
        assert hashlib.sha256(der(key["PublicKey"])).hexdigest() == key["KeyId"]
        assert key["Algorithm"] == "ECDSA_P256_SHA256"
    own_control.kill()
    own_control.start()
    assert published(own_control) == [new, old]


@pytest.mark.parametrize("method,path", [("POST", "/report-keys"), ("GET", "/"), ("GET", "/keys")])
def test_nothing_else_is_answered_without_a_signature(control, method, path):
    request = urllib.request.Request(f"{control.endpoint}{path}", method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 404
