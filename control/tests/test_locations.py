import http.server
import threading

import pytest

from conftest import everything
from control_process import ACCOUNT, EFS, NETWORK, ROLE

INVALID = "InvalidRequestException"
POINT = f"arn:aws:elasticfilesystem:us-east-1:{ACCOUNT}:access-point/fsap-0123456789abcdef0"


@pytest.mark.parametrize("path,kept", [
    ("/", "nfs://nas.example/"), ("/a/b", "nfs://nas.example/a/b/"), ("a/", "nfs://nas.example/a/"),
])
def test_nfs(world, api, path, kept):
    agent = world.agent()
    arn = world.nfs(agent=agent, Subdirectory=path)
    shown = api.describe_location_nfs(LocationArn=arn)
    assert shown["LocationUri"] == kept
    assert shown["OnPremConfig"] == {"AgentArns": [agent]}
    assert shown["MountOptions"] == {"Version": "AUTOMATIC"}


def test_nfs_update_merges(world, api, refused):
    arn = world.nfs(MountOptions={"Version": "NFS4_1"})
    api.update_location_nfs(LocationArn=arn, ServerHostname="10.0.0.1")
    shown = api.describe_location_nfs(LocationArn=arn)
    assert shown["LocationUri"] == "nfs://10.0.0.1/export/"
    assert shown["MountOptions"] == {"Version": "NFS4_1"}
    refused(api.update_location_s3, INVALID, "Invalid Location type", LocationArn=arn)
    refused(api.describe_location_efs, INVALID, "Invalid Location type", LocationArn=arn)


@pytest.mark.parametrize("members,text", [
    ({"ServerHostname": "-bad-"}, "ServerHostname"),
    ({"ServerHostname": "a b"}, "ServerHostname"),
    ({"ServerHostname": "a" * 256}, "ServerHostname"),
    ({"Subdirectory": "/a*b"}, "Subdirectory"),
    ({"Subdirectory": ""}, "Subdirectory"),
    ({"Subdirectory": "a" * 4097}, "Subdirectory"),
    ({"MountOptions": {"Version": "NFS5"}}, "[AUTOMATIC, NFS3, NFS4_0, NFS4_1, NFS4_2]"),
    ({"Tags": [{"Key": "a@b"}]}, "Tags.member.Key"),
    ({"Tags": [{"Key": str(n)} for n in range(51)]}, "Tags"),
])
def test_nfs_members_are_checked(world, refused, members, text):
    refused(world.nfs, INVALID, text, **members)


def test_agents_of_a_location_must_exist(world, refused):
    absent = f"arn:aws:datasync:us-east-1:{ACCOUNT}:agent/agent-00000000000000000"
    refused(world.nfs, INVALID, "does not exist", agent=absent)


def test_efs(api, refused):
    make = api.create_location_efs
    arn = make(EfsFilesystemArn=EFS, Ec2Config=NETWORK, Subdirectory="/a")["LocationArn"]
    shown = api.describe_location_efs(LocationArn=arn)
    assert shown["LocationUri"] == "efs://us-east-1.fs-0123456789abcdef0/a/"
    assert shown["InTransitEncryption"] == "NONE" and shown["Ec2Config"] == NETWORK
    tls = "must be TLS1_2"
    refused(make, INVALID, tls, EfsFilesystemArn=EFS, Ec2Config=NETWORK, AccessPointArn=POINT)
    refused(api.update_location_efs, INVALID, tls, LocationArn=arn, AccessPointArn=POINT)
    api.update_location_efs(
        LocationArn=arn, AccessPointArn=POINT, InTransitEncryption="TLS1_2"
    )
    refused(api.update_location_efs, INVALID, tls, LocationArn=arn, InTransitEncryption="NONE")
    api.update_location_efs(LocationArn=arn, AccessPointArn="", InTransitEncryption="NONE")
    assert "AccessPointArn" not in api.describe_location_efs(LocationArn=arn)
    refused(make, INVALID, "EfsFilesystemArn", EfsFilesystemArn="arn:x", Ec2Config=NETWORK)
    six = {**NETWORK, "SecurityGroupArns": NETWORK["SecurityGroupArns"] * 6}
    refused(make, INVALID, "from 1 to 5", EfsFilesystemArn=EFS, Ec2Config=six)


@pytest.mark.parametrize("path,kept", [
    ("", "s3://bucket/"), ("/", "s3://bucket/"), ("/p", "s3://bucket/p/"), ("p/q/", "s3://bucket/p/q/"),
])
def test_s3(world, api, path, kept):
    arn = world.s3(Subdirectory=path, S3StorageClass="STANDARD_IA")
    shown = api.describe_location_s3(LocationArn=arn)
    assert shown["LocationUri"] == kept
    assert shown["S3StorageClass"] == "STANDARD_IA"
    assert shown["S3Config"] == {"BucketAccessRoleArn": ROLE}
    api.update_location_s3(LocationArn=arn, Subdirectory="new")
    shown = api.describe_location_s3(LocationArn=arn)
    assert shown["LocationUri"] == "s3://bucket/new/" and shown["S3StorageClass"] == "STANDARD_IA"


@pytest.mark.parametrize("members,text", [
    ({"S3BucketArn": "bucket"}, "S3BucketArn"),
    ({"S3StorageClass": "FAST"}, "GLACIER_INSTANT_RETRIEVAL"),
    ({"Subdirectory": "a//b"}, "may not contain"),
    ({"Subdirectory": "a/../b"}, "may not contain"),
    ({"S3BucketArn": f"arn:aws:s3:us-east-1:{ACCOUNT}:accesspoint/p"}, "not supported"),
])
def test_s3_members_are_checked(world, refused, members, text):
    refused(world.s3, INVALID, text, **members)


class Denying(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_bucket_that_refuses_makes_no_location(control, api, refused):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Denying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    role = f"arn:aws:iam::{ACCOUNT}:role/denied"
    control.set_role(role, f"http://127.0.0.1:{server.server_port}")
    before = everything(api.list_locations)
    refused(
        api.create_location_s3, INVALID, "DataSync location access test failed",
        S3BucketArn="arn:aws:s3:::bucket", S3Config={"BucketAccessRoleArn": role},
    )
    server.shutdown()
    assert everything(api.list_locations) == before


def test_a_role_that_nobody_configured_cannot_be_assumed(api, refused):
    role = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    refused(
        api.create_location_s3, INVALID, "Unable to assume role",
        S3BucketArn="arn:aws:s3:::bucket", S3Config={"BucketAccessRoleArn": role},
    )


def test_object_storage(control, world, api, refused):
    agent = world.agent()
    arn = world.store(
        AgentArns=[agent], AccessKey="id", SecretKey="CANARY-location-secret", ServerPort=9000,
        ServerProtocol="HTTP", Subdirectory="/p",
    )
    shown = api.describe_location_object_storage(LocationArn=arn)
    assert shown["LocationUri"] == "object-storage://s3.example/bucket/p/"
    assert (shown["ServerPort"], shown["ServerProtocol"]) == (9000, "HTTP")
    assert (shown["AccessKey"], shown["AgentArns"]) == ("id", [agent])
    assert "SecretKey" not in shown
    api.update_location_object_storage(LocationArn=arn, ServerPort=443, ServerProtocol="HTTPS")
    assert api.describe_location_object_storage(LocationArn=arn)["ServerPort"] == 443
    api.update_location_object_storage(LocationArn=arn, ServerProtocol="HTTP")
    assert api.describe_location_object_storage(LocationArn=arn)["ServerPort"] == 80
    refused(api.update_location_object_storage, INVALID, "go together",
            LocationArn=arn, AccessKey="")
    api.update_location_object_storage(LocationArn=arn, AccessKey="", SecretKey="")
    assert "AccessKey" not in api.describe_location_object_storage(LocationArn=arn)
    for members, text in [
        ({"ServerHostname": "s3.example:9000"}, "ServerPort"),
        ({"ServerPort": 65536}, "ServerPort"),
        ({"ServerProtocol": "FTP"}, "[HTTPS, HTTP]"),
        ({"BucketName": "b*cket"}, "BucketName"),
        ({"AccessKey": "alone"}, "go together"),
        ({"ServerCertificate": b"no PEM"}, "PEM"),
        ({"CmkSecretConfig": {"SecretArn": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:s"}},
         "not supported"),
    ]:
        refused(world.store, INVALID, text, **members)
    for file in [*control.state.rglob("*"), control.log]:
        if file.is_file():
            assert b"CANARY" not in file.read_bytes(), file


def test_lists_and_filters(world, api, refused):
    nfs = world.nfs(ServerHostname="filtered.example")
    store = world.store(ServerHostname="filtered.example")

    def found(name, values, operator):
        filters = [{"Name": name, "Values": values, "Operator": operator}]
        return {entry["LocationArn"] for entry in everything(api.list_locations, Filters=filters)}

    assert found("LocationUri", ["nfs://filtered.example/export/"], "Equals") == {nfs}
    assert found("LocationUri", ["filtered.example"], "Contains") == {nfs, store}
    assert nfs in found("LocationType", ["NFS"], "Equals")
    assert {nfs, store} <= found("LocationType", ["NFS", "OBJECT_STORAGE"], "In")
    assert nfs not in found("LocationType", ["NFS"], "NotEquals")
    assert {nfs, store} <= found("CreationTime", ["2019-12-15 17:15:20"], "GreaterThan")
    assert not found("CreationTime", ["2019-12-15T17:15:20Z"], "LessThan")
    wrong = {"Name": "Color", "Values": ["x"], "Operator": "Equals"}
    refused(api.list_locations, INVALID, "LocationUri", Filters=[wrong])
    wrong = {"Name": "LocationUri", "Values": ["x"], "Operator": "LessThan"}
    refused(api.list_locations, INVALID, "operator", Filters=[wrong])


def test_a_location_in_use_is_kept(world, api, refused):
    source = world.nfs()
    task = world.task(SourceLocationArn=source)
    refused(api.delete_location, INVALID, f"in-use by these task(s): {task}", LocationArn=source)
    api.delete_task(TaskArn=task)
    api.delete_location(LocationArn=source)
    refused(api.delete_location, INVALID, f"Location {source} is not found.", LocationArn=source)


def test_other_types_are_refused_clearly(api, refused, world):
    agent = world.agent()
    refused(
        api.create_location_smb, INVALID, "not supported in this release",
        Subdirectory="/a", ServerHostname="h", User="u", Password="p", AgentArns=[agent],
    )
