"""Who is let in, who is not, and that no secret is left lying about."""

import os
import stat
import threading

import boto3
import pytest
from botocore.exceptions import ClientError, SSLError
from world.agent import Agent
from world.control import AGENT_PORT
from world.process import accepts, run, wait_until
from world.secrets import assert_no_secrets, leaks, permit, remember

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
SESSION = "/datasync.agent.v1.Session/Attach"


def new_agent(site, name, port, **settings):
    return Agent(name, site.directory, site.logs, site.control, port=port, **settings)


@pytest.fixture
def second_agent(site):
    """An agent without identity."""
    agent = new_agent(site, f"second-{os.urandom(3).hex()}", 8081).start()
    try:
        yield agent
    finally:
        agent.stop()


def test_an_activation_key_works_once(site, second_agent):
    key = second_agent.activation_key()
    site.datasync.create_agent(ActivationKey=key, AgentName="first use")
    with pytest.raises(site.datasync.exceptions.InvalidRequestException):
        site.datasync.create_agent(ActivationKey=key, AgentName="second use")
    names = [agent["Name"] for agent in site.datasync.list_agents()["Agents"]]
    assert "second use" not in names


def test_of_two_callers_with_one_key_exactly_one_succeeds(site, second_agent):
    key = second_agent.activation_key()
    answers = []

    def use(number):
        try:
            site.datasync.create_agent(ActivationKey=key, AgentName=f"racer {number}")
            answers.append("created")
        except site.datasync.exceptions.InvalidRequestException:
            answers.append("refused")

    racers = [threading.Thread(target=use, args=(number,)) for number in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(answers) == ["created"] + ["refused"] * 5


def test_an_unknown_key_is_refused(site):
    with pytest.raises(site.datasync.exceptions.InvalidRequestException):
        site.datasync.create_agent(ActivationKey="AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")
    with pytest.raises(site.datasync.exceptions.InvalidRequestException):
        site.datasync.create_agent(ActivationKey="not a key")


def test_an_activation_key_expires_after_30_minutes(site):
    key = site.control.create_activation_key()
    site.control.stop()
    server = site.control.server
    plain, server.env = server.env, os.environ | {"LD_PRELOAD": FAKETIME, "FAKETIME": "+31m"}
    try:
        site.control.start()
        site.control.ca  # written before the clock of the client is moved
        answer = run(
            ["aws", "datasync", "create-agent", "--activation-key", key, "--agent-name", "late"],
            env=site.control.environment() | {"LD_PRELOAD": FAKETIME, "FAKETIME": "+31m"},
        )
    finally:
        site.control.stop()
        server.env = plain
        site.control.start()
    assert answer.returncode != 0
    assert "InvalidRequestException" in answer.stderr, answer.stderr
    assert "expire" in answer.stderr, answer.stderr


def test_a_key_issued_beforehand_activates_without_http(site):
    key = site.control.create_activation_key()
    agent = new_agent(site, "zero-touch", 8082, activation_key=key).start()
    try:
        agent.server.wait_for_line("(?i)activation", 20)

        def created():
            try:
                return site.datasync.create_agent(ActivationKey=key, AgentName="zero touch")
            except site.datasync.exceptions.InvalidRequestException:
                return None

        agent.arn = wait_until("the key is claimed", created, 20, 0.5)["AgentArn"]
        agent.wait_online(site.datasync)
        assert not accepts(8082)
        assert key not in agent.server.output()
    finally:
        agent.stop()


def test_private_files_are_private(site):
    for path in (
        site.agent.state / "identity" / "key.pem",
        site.control.state / "sealing.key",
        *site.control.state.rglob("*key*.pem"),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for path in (site.agent.state, site.control.state):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def other_ca(directory):
    """A CA that nobody here trusts: certificate and key."""
    certificate, key = directory / "other.pem", directory / "other.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=other"]
    answer = run([*command, "-addext", "subjectAltName=IP:127.0.0.1"])
    assert answer.returncode == 0, answer.stderr
    return certificate, key


@pytest.mark.parametrize("trust", ["ca", "fingerprint"])
def test_an_agent_that_does_not_trust_control_gives_no_key(site, trust):
    if trust == "ca":
        certificate, _ = other_ca(site.directory)
        settings = {"control_ca": certificate}
    else:
        settings = {"control_ca": None, "control_fingerprint": "00" * 32}
    agent = new_agent(site, f"distrust-{trust}", 8083, **settings).start()
    try:
        agent.server.wait_for_port(8083)
        query = "gatewayType=SYNC&activationRegion=us-east-1"
        status, headers, body = agent.get(query, timeout=60)
        assert "activationKey=" not in headers.get("Location", "")
        assert status != 302 or "errorType=" in headers["Location"], headers
        status, _, body = agent.get(query + "&no_redirect", timeout=60)
        assert status >= 500, body
        agent.server.wait_for_line("(?i)certificate|fingerprint")
    finally:
        agent.stop()


def test_the_right_fingerprint_is_trusted(site):
    fingerprint = site.control.fingerprint
    settings = {"control_ca": None, "control_fingerprint": fingerprint}
    agent = new_agent(site, "fingerprint", 8084, **settings).start()
    try:
        agent.activate(site.datasync)
    finally:
        agent.stop()


def call_session(site, *arguments):
    """An empty Attach by curl: exit code and headers; the body is in the file `body`."""
    body = site.directory / "body"
    body.unlink(missing_ok=True)
    empty = site.directory / "empty"
    empty.write_bytes(b"\0" * 5)
    command = ["curl", "-s", "-m", "10", "--http2", "-D", "-", "-o", body]
    command += ["--cacert", site.control.ca, "-H", "content-type: application/grpc"]
    command += ["-H", "te: trailers", "--data-binary", f"@{empty}", *arguments]
    return run([*command, f"https://127.0.0.1:{AGENT_PORT}{SESSION}"])


def assert_refused(site, answer, *codes):
    """By an exit code of curl or by UNAUTHENTICATED, and without a message.

    A stream that is refused before its body was read may be reset: then curl exits with 92. That
    a message would be seen is shown by the test of a deleted agent's certificate.
    """
    body = site.directory / "body"
    assert not body.exists() or body.read_bytes() == b"", answer
    refused = "grpc-status: 16" in answer.stdout.lower() or answer.returncode in (92, *codes)
    assert refused, answer


def test_a_client_without_certificate_gets_no_session(site):
    assert_refused(site, call_session(site))


def test_a_client_with_another_ca_s_certificate_gets_no_session(site):
    certificate, key = other_ca(site.directory)
    answer = call_session(site, "--cert", certificate, "--key", key)
    # The TLS handshake fails, or what follows it.
    assert_refused(site, answer, 16, 35, 52, 55, 56)


def test_plain_text_gets_no_session(site):
    answer = run(["curl", "-s", "-m", "5", f"http://127.0.0.1:{AGENT_PORT}{SESSION}"])
    assert answer.returncode != 0 and answer.stdout == "", answer


def test_a_deleted_agent_s_certificate_is_of_no_use(site, second_agent):
    second_agent.activate(site.datasync)
    identity = second_agent.state / "identity"
    copies = []
    for name in ("certificate.pem", "key.pem"):
        copies.append(site.directory / f"copied-{name}")
        copies[-1].write_bytes((identity / name).read_bytes())
    site.datasync.delete_agent(AgentArn=second_agent.arn)
    call_session(site, "--cert", copies[0], "--key", copies[1])
    # All it is told is Deactivate, field 5, in the frame of one gRPC message.
    assert (site.directory / "body").read_bytes() == b"\0\0\0\0\x02\x2a\0"


def test_an_api_client_that_does_not_trust_control_refuses(site):
    certificate, _ = other_ca(site.directory)
    stranger = boto3.client(
        "datasync",
        endpoint_url=site.control.endpoint,
        aws_access_key_id="x",
        aws_secret_access_key="y",
        region_name="us-east-1",
        verify=str(certificate),
    )
    with pytest.raises(SSLError):
        stranger.list_agents()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"secret_key": "wrong"}, "InvalidSignatureException"),
        ({"access_key": "AKIAUNKNOWN000000000"}, "UnrecognizedClientException"),
    ],
)
def test_wrong_api_credentials_are_refused_as_aws_does(site, wrong, code):
    with pytest.raises(ClientError) as refused:
        site.control.boto(**wrong).list_agents()
    assert refused.value.response["Error"]["Code"] == code


def test_an_unsigned_request_is_refused(site):
    command = ["curl", "-s", "--cacert", site.control.ca, "-X", "POST", "-d", "{}"]
    command += ["-H", "X-Amz-Target: FmrsService.ListAgents"]
    command += ["-H", "Content-Type: application/x-amz-json-1.1", site.control.endpoint]
    answer = run(command)
    assert "MissingAuthenticationToken" in answer.stdout, answer.stdout


def test_a_clock_that_is_20_minutes_wrong_is_refused(site):
    skewed = site.control.environment() | {"LD_PRELOAD": FAKETIME, "FAKETIME": "-20m"}
    answer = run(["aws", "datasync", "list-agents"], env=skewed)
    assert answer.returncode != 0
    assert "InvalidSignatureException" in answer.stderr, answer.stderr
    assert "expired" in answer.stderr, answer.stderr


def test_a_disabled_access_key_is_refused(site):
    key, secret = site.control.create_access_key()
    client = site.control.boto(key, secret)
    client.list_agents()
    site.control.cli("access-key", "disable", key)
    with pytest.raises(ClientError):
        client.list_agents()


def test_secrets_of_a_refused_location_are_nowhere(site):
    secret = remember("a refused location", "canary-Refused-Secret-0123456789abcdefghijk")
    source = site.source("canary")
    bucket = site.bucket("canary")
    with_wrong_key = site.store_location(bucket, SecretKey=secret)
    task = site.create_task(site.nfs_location(source), with_wrong_key)
    site.wait_task(task, "UNAVAILABLE")
    assert_no_secrets(site.logs, site.directory)
    described = site.datasync.describe_location_object_storage(LocationArn=with_wrong_key)
    assert secret not in str(described)


def test_the_search_for_secrets_finds_them(tmp_path):
    (tmp_path / "log").write_text("credentials: a%2Fb")
    assert leaks({"it": "a/b"}, [tmp_path]) == [f"the secret of it is in {tmp_path}/log"]


def test_a_secret_is_excepted_in_the_one_file_that_a_test_wrote(tmp_path):
    secret = remember("this test", os.urandom(16).hex())
    written, copied = tmp_path / "written", tmp_path / "copied"
    written.write_text(secret)
    permit(secret, written)
    assert_no_secrets(tmp_path)
    copied.write_text(secret)
    with pytest.raises(AssertionError, match=f"^the secret of this test is in {copied}$"):
        assert_no_secrets(tmp_path)
