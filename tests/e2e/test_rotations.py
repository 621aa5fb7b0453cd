"""Keys and the CA are replaced while agents are connected and clients call."""

import os
import re
import stat
import subprocess
import time

import pytest
from world.agent import Agent
from world.control import Control, CliFailed
from world.process import binary, run, wait_until
from world.secrets import remember
from world.watched import Watched


@pytest.fixture(scope="module")
def watched(directory, module_logs):
    control = Control(directory, module_logs, agent_certificate_days=1)
    control.start()
    agent = Agent("agent", directory, module_logs, control, port=8087).start()
    agent.activate(control.boto())
    with Watched(control, agent) as watched:
        yield watched
    agent.stop()
    control.stop()


def rotate(control):
    """Takes the next step as soon as it is allowed; answers what it prints."""
    def taken():
        try:
            return control.cli("ca", "rotate")
        except CliFailed as failed:
            assert "not yet" in str(failed), failed
            return None

    return wait_until("ca rotate takes a step", taken, 60, 1)


def anchors(control):
    return re.findall(r"SHA-256 fingerprint: ([0-9a-f]{64})", control.cli("ca", "show"))


def issuer(agent):
    """The subject of the CA that issued the agent's certificate."""
    certificate = agent.state / "identity" / "certificate.pem"
    return run(["openssl", "x509", "-in", certificate, "-noout", "-issuer"]).stdout


def test_the_ca_is_replaced_and_the_agent_stays_online(watched, tmp_path):
    control, agent = watched.control, watched.agent
    [old] = anchors(control)
    old_issuer = issuer(agent)

    assert "introduced" in rotate(control)
    assert anchors(control)[0] == old and len(anchors(control)) == 2
    # What an operator does now: clients of the API are given both.
    bundle = tmp_path / "both.pem"
    bundle.write_text(control.cli("ca", "show"))
    watched.trust(bundle)
    trusted = agent.state / "identity" / "control-ca.pem"
    wait_until("the agent trusts both", lambda: trusted.read_text().count("BEGIN") == 2, 30)

    assert "issuing" in rotate(control)
    wait_until("the agent's certificate is the next CA's", lambda: issuer(agent) != old_issuer, 30)
    wait_until("control shows a certificate of the next CA",
               lambda: new_ca_is_served(control, tmp_path, old), 30)

    assert "no rotation" in rotate(control)
    [new] = anchors(control)
    assert new != old
    time.sleep(6)
    assert not watched.failures
    # What was activated before and what comes now work with the new CA alone.
    agent.stop()
    agent.start()
    agent.wait_online(watched.datasync)
    fresh = Agent("fresh", control.state.parent, agent.server.log.parent, control, port=8088,
                  control_ca=bundle).start()
    fresh.activate(watched.datasync)
    fresh.stop()
    control.stop()
    control.start()
    agent.wait_online(watched.datasync)
    assert anchors(control) == [new]


def new_ca_is_served(control, directory, old):
    """Whether a client that trusts the next CA alone reaches the agents' port."""
    pems = re.findall(r"-----BEGIN CERT.*?-----END CERTIFICATE-----\n", control.cli("ca", "show"), re.S)
    only = directory / "next.pem"
    only.write_text(pems[-1])
    answer = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{control.agent_port}", "-CAfile", str(only),
         "-verify_return_error", "-verify_ip", "127.0.0.1", "-alpn", "h2"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
    )
    return answer.returncode == 0


def test_access_keys_are_replaced_without_a_call_lost(watched):
    """A new key is made, clients go over to it, the old one is disabled: it ends at once."""
    control = watched.control
    old = control.create_access_key()
    client = control.boto(*old)
    client.list_agents()
    new = control.create_access_key()
    successor = control.boto(*new)
    successor.list_agents()
    client.list_agents()
    control.cli("access-key", "disable", old[0])
    with pytest.raises(client.exceptions.ClientError) as refused:
        client.list_agents()
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
    successor.list_agents()
    control.cli("access-key", "delete", old[0])
    assert old[0] not in control.cli("access-key", "list")
    successor.list_agents()


def test_the_sealing_key_is_replaced_while_control_serves(watched):
    control = watched.control
    key_file = control.state / "sealing.key"
    old = key_file.read_bytes()
    client = control.boto()
    location = client.create_location_object_storage(
        ServerHostname="store.example", BucketName="bucket", AccessKey="key",
        SecretKey=remember("a location", "canary-" + os.urandom(12).hex()),
    )["LocationArn"]
    assert re.match(r"[2-9] secret\(s\) sealed", control.cli("sealing-key", "rotate"))
    client.list_agents()
    client.update_location_object_storage(LocationArn=location, SecretKey="another-secret-0123")
    later = control.create_access_key()
    control.boto(*later).list_agents()
    with pytest.raises(CliFailed, match="not yet"):
        control.cli("sealing-key", "forget-old")
    then = time.time() - 120
    os.utime(key_file, (then, then))
    control.cli("sealing-key", "forget-old")
    new = key_file.read_bytes()
    assert len(new) == 32 and new != old and stat.S_IMODE(key_file.stat().st_mode) == 0o600
    client.list_agents()
    control.boto(*later).list_agents()
    control.stop()
    control.start()
    control.boto(*later).list_agents()
    watched.agent.wait_online(control.boto())


def test_commands_say_what_is_wrong(watched):
    answer = run([binary("datasync-control"), "ca", "rotate", "--state-dir", "/proc/none"])
    assert answer.returncode != 0 and answer.stderr.startswith("datasync-control: ")
