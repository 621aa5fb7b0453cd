"""Changes of state are told in order, to a file and to a webhook, and none is lost."""

import base64
import hashlib
import hmac
import json
import re
import ssl
import stat
import subprocess

import pytest

from conftest import Checked, World
from control_process import ACCOUNT, REGION
from webhook import Webhook, eventually

SECRET = "CANARY-webhook-secret"


@pytest.fixture
def webhook():
    running = Webhook()
    yield running
    running.close()


def restarted(control, *settings):
    control.stop()
    with control.config.open("a") as config:
        config.write("".join(f"{setting}\n" for setting in settings))
    control.start()
    return Checked(control.client())


def in_file(control):
    path = control.state / "events.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def states(events, arn):
    """Without what was told again: a kill may come before a delivery is noted."""
    once = {event["id"]: event for event in events}.values()
    return [event["detail"]["State"] for event in once if event["resources"] == [arn]]


def run(control, api, count=1):
    """Starts and cancels; no agent is there. Gives task and executions."""
    world = World(control, api)
    task = world.task()
    executions = []
    for _ in range(count):
        executions.append(world.start(task))
        api.cancel_task_execution(TaskExecutionArn=executions[-1])
    return task, executions


def told(control, executions):
    ended = [states(in_file(control), arn) == ["QUEUED", "ERROR"] for arn in executions]
    return all(ended) and in_file(control)


def test_the_file_has_the_form_of_eventbridge_in_order(own_control):
    api = Checked(own_control.client())
    task, executions = run(own_control, api, 3)
    events = eventually(lambda: told(own_control, executions))
    assert len({event["id"] for event in events}) == len(events)
    for event in events:
        kind = "Task Execution" if "/execution/" in event["resources"][0] else "Task"
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", event.pop("id"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event.pop("time"))
        assert event.pop("resources")[0].startswith(task)
        assert list(event.pop("detail")) == ["State"]
        assert event == {"version": "0", "source": "aws.datasync", "account": ACCOUNT,
                         "region": REGION, "detail-type": f"DataSync {kind} State Change"}
    found = eventually(lambda: (s := states(in_file(own_control), task)).count("QUEUED") == 3 and s)
    assert found[0] == "CREATING"
    assert all(one != two for one, two in zip(found, found[1:])), "only changes"
    mode = (own_control.state / "events.jsonl").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_webhook_gets_each_event_signed_and_its_secrets_stay_out_of_all_files(
        own_control, webhook, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    url = f"http://user:CANARY-pass@127.0.0.1:{webhook.port}/hook?token=CANARY-token"
    api = restarted(own_control, f'event_webhook_url = "{url}"',
                    f'event_webhook_secret_file = "{secret}"', 'log_filter = "trace"')
    _, executions = run(own_control, api)
    events = eventually(lambda: told(own_control, executions))
    eventually(lambda: webhook.events() == events)
    for path, headers, body in webhook.requests:
        headers = {name.lower(): value for name, value in headers.items()}
        assert path == "/hook?token=CANARY-token"
        assert headers["content-type"] == "application/json"
        assert headers["x-datasync-event-id"] == json.loads(body)["id"]
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert headers["x-datasync-signature-256"] == f"sha256={signature}"
        plain = base64.b64decode(headers["authorization"].removeprefix("Basic "))
        assert plain == b"user:CANARY-pass"
    webhook.status = 500
    _, executions = run(own_control, api)
    eventually(lambda: "it answers 500" in own_control.log.read_text())
    own_control.stop()
    files = [own_control.log, *(path for path in own_control.state.rglob("*") if path.is_file())]
    for path in files:
        content = path.read_bytes()
        for canary in (b"CANARY-pass", b"CANARY-token", SECRET.encode()):
            assert canary not in content, path


def test_events_outlive_a_kill_and_a_webhook_that_is_away(own_control):
    away = Webhook()
    away.close()
    api = restarted(own_control, f'event_webhook_url = "http://127.0.0.1:{away.port}/"')
    made = run(own_control, api, 3)[1]
    own_control.kill()
    own_control.start()
    made += run(own_control, Checked(own_control.client()), 2)[1]
    events = eventually(lambda: told(own_control, made))
    own_control.kill()
    back = Webhook(away.port)
    own_control.start()
    eventually(lambda: {e["id"] for e in events} <= {e["id"] for e in back.events()})
    for arn in made:
        assert states(back.events(), arn) == ["QUEUED", "ERROR"]
    back.close()


def test_what_was_told_but_not_noted_is_told_again_with_the_same_ids(own_control, webhook):
    api = restarted(own_control, f'event_webhook_url = "http://127.0.0.1:{webhook.port}/"')
    webhook.held.clear()
    executions = run(own_control, api)[1]
    events = eventually(lambda: told(own_control, executions))
    eventually(webhook.events)
    own_control.kill()
    first = webhook.events()[0]["id"]
    webhook.held.set()
    own_control.start()
    eventually(lambda: {e["id"] for e in events} <= {e["id"] for e in webhook.events()[1:]})
    assert [e["id"] for e in webhook.events()].count(first) == 2


def test_a_webhook_that_hangs_or_refuses_delays_nothing_else(own_control, webhook):
    api = restarted(own_control, f'event_webhook_url = "http://127.0.0.1:{webhook.port}/"')
    webhook.held.clear()
    made = run(own_control, api, 3)[1]
    eventually(lambda: told(own_control, made))
    webhook.status = 503
    webhook.held.set()
    eventually(lambda: len(webhook.requests) > 1)
    webhook.status = 204
    last = in_file(own_control)[-1]["id"]
    eventually(lambda: any(e["id"] == last for e in webhook.events()))
    refused = [e["id"] for e in webhook.events()]
    once = list(dict.fromkeys(refused))
    assert once == [e["id"] for e in in_file(own_control)]


def test_a_webhook_over_tls_must_be_trusted(own_control, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=webhook",
         "-addext", "basicConstraints=critical,CA:FALSE",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True, timeout=60)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    webhook = Webhook(tls=tls)
    api = restarted(own_control, f'event_webhook_url = "https://127.0.0.1:{webhook.port}/"')
    executions = run(own_control, api)[1]
    eventually(lambda: "invalid peer certificate" in own_control.log.read_text())
    assert not webhook.requests
    restarted(own_control, f'ca_bundle_file = "{certificate}"')
    events = eventually(lambda: told(own_control, executions))
    eventually(lambda: {e["id"] for e in events} <= {e["id"] for e in webhook.events()})
    webhook.close()


def test_a_bad_webhook_is_refused_without_repeating_it(own_control):
    own_control.stop()
    with own_control.config.open("a") as config:
        config.write('event_webhook_url = "ftp://user:CANARY@hooks.example/"\n')
    with pytest.raises(AssertionError) as caught:
        own_control.command("access-key", "list")
    assert "event_webhook_url: must be http[s]://" in str(caught.value)
    assert "CANARY" not in str(caught.value)
