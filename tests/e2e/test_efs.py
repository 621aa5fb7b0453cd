"""EFS as a source and as a destination: by TLS and without, by access point and role, and what is said where it fails."""

import json
import os
import time

import pytest
from world import tree
from world.control import REGION
from world.copied import assert_same
from world.efs import NETWORK, Certificate, Front, access_point_arn, dns_name, file_system_arn
from world.expected import Snapshot
from world.nfs4 import PORT, Nfs4
from world.process import binary, run
from world.site import Site, shown

MIB = 1024 * 1024
TLS_PORT, OTHER_NAME_PORT, OTHER_CA_PORT = 4051, 4052, 4053
# By what is spoken where they are reached.
TLS = "fs-00000000000000001"
PLAIN = "fs-00000000000000002"
OTHER_NAME = "fs-00000000000000003"
OTHER_CA = "fs-00000000000000004"
NOWHERE = "fs-00000000000000005"
FS_ROLE = "arn:aws:iam::123456789012:role/file-system"


@pytest.fixture(scope="module")
def nfs4(directory, module_logs, nfs):
    server = Nfs4(directory / "nfs4", module_logs, nfs, minor_versions="1").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def trusted(directory):
    return Certificate(directory, "trusted", dns_name(TLS))


@pytest.fixture(scope="module")
def stranger(directory):
    """The same name, and nobody trusts it."""
    return Certificate(directory, "stranger", dns_name(TLS))


@pytest.fixture(scope="module")
def front(directory, nfs4, trusted):
    other = Certificate(directory, "other", dns_name(OTHER_CA))
    fronts = [
        Front(TLS_PORT, PORT, trusted),
        Front(OTHER_NAME_PORT, PORT, trusted),
        Front(OTHER_CA_PORT, PORT, other),
    ]
    for one in fronts:
        one.start()
    yield fronts[0]
    for one in fronts:
        one.stop()


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store, front, trusted):
    ports = {TLS: TLS_PORT, PLAIN: PORT, OTHER_NAME: OTHER_NAME_PORT, OTHER_CA: OTHER_CA_PORT}
    addresses = ",".join(f"{name}=127.0.0.1:{port}" for name, port in ports.items())
    settings = {"ca_bundle": trusted.pem, "efs.addresses": addresses}
    made = Site(directory, module_logs, nfs, store, **settings)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def location(site, file_system, path, **more):
    return site.datasync.create_location_efs(
        EfsFilesystemArn=file_system_arn(file_system),
        Ec2Config=NETWORK,
        Subdirectory=os.fsdecode(path),
        **more,
    )["LocationArn"]


def task(site, efs, name, **more):
    return site.create_task(efs, site.store_location(site.bucket(name)), **more)


def filled(site, name):
    source = site.source(name)
    tree.odd_names(source)
    tree.neighbours(source)
    tree.big(source + b"/big", 20 * MIB)
    return source


def test_a_tree_arrives_by_tls_with_the_aws_cli(site, front):
    since_ns = time.time_ns()
    source = filled(site, "tls")
    subnet, [group] = NETWORK["SubnetArn"], NETWORK["SecurityGroupArns"]
    efs = site.control.aws(
        "create-location-efs", "--efs-filesystem-arn", file_system_arn(TLS),
        "--ec2-config", f"SubnetArn={subnet},SecurityGroupArns={group}",
        "--subdirectory", os.fsdecode(source), "--in-transit-encryption", "TLS1_2",
    )["LocationArn"]
    bucket = site.bucket("tls")
    made = site.create_task(efs, site.store_location(bucket))
    site.wait_task(made, "AVAILABLE")
    before = len(front.connections)
    site.run(made)
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)
    assert len(front.connections) > before
    again = site.run(made)
    assert again["BytesTransferred"] == 0, shown(again)


def test_a_tree_arrives_at_efs_and_stays(site, front):
    source, destination = filled(site, "to-efs"), site.source("efs")
    efs = location(site, TLS, destination, InTransitEncryption="TLS1_2")
    made = site.create_task(site.nfs_location(source), efs)
    site.wait_task(made, "AVAILABLE")
    before = len(front.connections)
    site.run(made)
    assert len(front.connections) > before
    assert_same(source, destination)
    again = site.run(made)
    assert again["FilesTransferred"] == 0, shown(again)


def test_without_encryption_nothing_is_encrypted(site, front):
    since_ns = time.time_ns()
    source = site.source("plain")
    tree.neighbours(source)
    bucket = site.bucket("plain")
    made = site.create_task(location(site, PLAIN, source), site.store_location(bucket))
    site.wait_task(made, "AVAILABLE")
    before = len(front.connections)
    site.run(made)
    assert len(front.connections) == before
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)


def test_access_point_and_role_need_keys_and_are_used_with_them(site):
    since_ns = time.time_ns()
    source = filled(site, "role")
    efs = location(
        site, TLS, source, InTransitEncryption="TLS1_2", FileSystemAccessRoleArn=FS_ROLE,
        AccessPointArn=access_point_arn("fsap-0123456789abcdef0"),
    )
    bucket = site.bucket("role")
    made = site.create_task(efs, site.store_location(bucket))
    described = site.wait_task(made, "UNAVAILABLE")
    assert described["ErrorCode"] == "CredentialsUnavailable", shown(described)
    assert FS_ROLE in described["ErrorDetail"], shown(described)
    secret = "efs-secret-" + os.urandom(12).hex()
    arguments = ["role", "set-key", FS_ROLE, "--access-key-id", "AKIAEFS0000000000001"]
    site.control.cli(*arguments, text_in=secret + "\n")
    made = site.create_task(efs, site.store_location(bucket))
    site.wait_task(made, "AVAILABLE")
    site.run(made)
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)
    for log in site.logs.iterdir():
        assert secret not in log.read_text(errors="replace"), log


@pytest.mark.parametrize("file_system,encryption,code,words", [
    (OTHER_CA, "TLS1_2", "SourceUnreachable", ["no authority that is trusted", "ca_bundle"]),
    (OTHER_NAME, "TLS1_2", "SourceUnreachable", [dns_name(OTHER_NAME), "not valid for name"]),
    (PLAIN, "TLS1_2", "SourceUnreachable", ["no TLS", "InTransitEncryption"]),
    (TLS, "NONE", "SourceUnreachable", ["closed the connection", "InTransitEncryption"]),
    (NOWHERE, "TLS1_2", "SourceUnreachable", [dns_name(NOWHERE), "efs.addresses"]),
])
def test_what_cannot_be_read_is_named(site, file_system, encryption, code, words):
    efs = location(site, file_system, "/", InTransitEncryption=encryption)
    described = site.wait_task(task(site, efs, "failing"), "UNAVAILABLE")
    assert described["ErrorCode"] == code, shown(described)
    for word in [*words, f"efs://us-east-1.{file_system}/"]:
        assert word in described["ErrorDetail"], (word, shown(described))


@pytest.fixture
def check(site, store, trusted, tmp_path):
    """`datasync-agent check` of a file system, with the addresses of the site: its steps by name."""

    def start(file_system, path, *flags, code=0):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "DATASYNC_AGENT_CA_BUNDLE": str(trusted.pem),
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        command = [binary("datasync-agent"), "check", f"efs://{REGION}.{file_system}{os.fsdecode(path)}"]
        command += ["--efs-addresses", site.agent_settings["efs.addresses"], "--json", *flags]
        answer = run(command, timeout=90, env=environment)
        assert answer.returncode == code, answer
        return {step["step"]: (step["result"], step["detail"]) for step in json.loads(answer.stdout)["steps"]}

    return start


def test_the_command_checks_a_file_system(site, front, check):
    source = filled(site, "check")
    before, entries_before = len(front.connections), sorted(os.listdir(source))
    found = check(TLS, source, "--iam", "--access-point", "fsap-0123456789abcdef0", "--write")
    assert list(found) == ["DNS", "TCP", "Credentials", "MOUNT", "READDIR", "READ", "WRITE"], found
    assert {result for result, _ in found.values()} == {"OK"}, found
    assert len(front.connections) > before
    assert sorted(os.listdir(source)) == entries_before, "something stays behind"
    found = check(PLAIN, source, "--plain")
    assert list(found) == ["DNS", "TCP", "MOUNT", "READDIR", "READ"], found


@pytest.mark.parametrize("file_system,path,flags,step,words", [
    (OTHER_CA, "/", [], "MOUNT", ["no authority that is trusted"]),
    (OTHER_NAME, "/", [], "MOUNT", [dns_name(OTHER_NAME), "not valid for name"]),
    (TLS, "/", ["--plain"], "MOUNT", ["closed the connection"]),
    (NOWHERE, "/", [], "DNS", []),
    (TLS, "/no/such", [], "MOUNT", ['"no"']),
])
def test_the_command_names_the_step_that_fails(check, file_system, path, flags, step, words):
    found = check(file_system, path, *flags, code=1)
    assert [name for name, (result, _) in found.items() if result == "FAIL"] == [step], found
    for word in words:
        assert word in found[step][1], (word, found)


def test_a_directory_that_is_not_there_is_named(site):
    efs = location(site, TLS, "/no/such", InTransitEncryption="TLS1_2")
    described = site.wait_task(task(site, efs, "missing"), "UNAVAILABLE")
    assert described["ErrorCode"] == "SourcePathNotFound", shown(described)
    assert '"no"' in described["ErrorDetail"], shown(described)


def test_an_execution_at_a_server_that_is_another_now_says_so(site, front, stranger, trusted):
    source = site.source("changed")
    tree.write(source + b"/one", b"one")
    efs = location(site, TLS, source, InTransitEncryption="TLS1_2")
    made = task(site, efs, "changed")
    site.wait_task(made, "AVAILABLE")
    front.become(stranger)
    try:
        ended = site.run(made, timeout=120, status="ERROR")
        result = ended["Result"]
        assert result["ErrorCode"] == "SourceUnreachable", shown(ended)
        assert "no authority that is trusted" in result["ErrorDetail"], shown(ended)
    finally:
        front.become(trusted)
    site.run(made)


def test_connections_that_break_are_made_anew(site, front, trusted):
    since_ns = time.time_ns()
    source = site.source("broken")
    tree.big(source + b"/big", 100 * MIB)
    bucket = site.bucket("broken")
    efs = location(site, TLS, source, InTransitEncryption="TLS1_2")
    made = site.create_task(efs, site.store_location(bucket), {"BytesPerSecond": 40 * MIB})
    site.wait_task(made, "AVAILABLE")
    execution = site.launch(made)
    site.wait_execution(execution, until=lambda described: described["BytesTransferred"] > 10 * MIB)
    front.become(trusted)
    ended = site.wait_execution(execution, 240)
    assert ended["Status"] == "SUCCESS", shown(ended)
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)
