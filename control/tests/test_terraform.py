"""The calls, waits and matches of Terraform's provider hashicorp/aws, in its order.

The provider itself cannot be installed here. What it does is written down from its documentation and
its behaviour: create, wait, read, plan again (which must find nothing to change), update, delete.
"""

import re
import time

import pytest
from botocore.exceptions import ClientError

from control_process import EFS, NETWORK, ROLE
from test_fixed_point import shown_tags
from test_tasks import DEFAULTS, rule

INVALID = "InvalidRequestException"
SCHEME = re.compile(r"^(efs|hdfs|nfs|s3|smb|fsx[a-z0-9]+|object-storage)://(.+)$")
REST = re.compile(r"^([a-zA-Z0-9.\-]+)(?::\d{0,5})?(/.*)$")


def host_and_subdirectory(uri):
    """As the provider takes a LocationUri apart."""
    return REST.match(SCHEME.match(uri).group(2)).groups()


def eventually(call, *passing):
    """Calls again while an error has one of these texts, as after a change in IAM."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return call()
        except ClientError as error:
            text = error.response["Error"]["Message"]
            assert error.response["Error"]["Code"] == INVALID
            if not any(part in text for part in passing) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def gone(call, text):
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == INVALID
    assert text in caught.value.response["Error"]["Message"]


def test_agent(control, api):
    arn = api.create_agent(
        ActivationKey=control.activation_key(), AgentName="nas", Tags=[{"Key": "env", "Value": "p"}]
    )["AgentArn"]
    read = eventually(lambda: api.describe_agent(AgentArn=arn), "does not exist")
    assert read["Name"] == "nas" and "PrivateLinkConfig" not in read
    assert shown_tags(api, arn) == [{"Key": "env", "Value": "p"}]
    api.update_agent(AgentArn=arn, Name="nas2")
    api.untag_resource(ResourceArn=arn, Keys=["env"])
    api.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "x"}])
    assert api.describe_agent(AgentArn=arn)["Name"] == "nas2"
    assert shown_tags(api, arn) == [{"Key": "team", "Value": "x"}]
    location = api.create_location_nfs(
        ServerHostname="nas", Subdirectory="/", OnPremConfig={"AgentArns": [arn]})["LocationArn"]
    gone(lambda: api.delete_agent(AgentArn=arn), "in-use by these location(s)")
    api.delete_location(LocationArn=location)
    eventually(lambda: api.delete_agent(AgentArn=arn), "in-use by these location(s)")
    gone(lambda: api.describe_agent(AgentArn=arn), "does not exist")


def test_nfs_location(api, world):
    agent = world.agent()
    arn = api.create_location_nfs(
        ServerHostname="nas.example", Subdirectory="/export/home", Tags=[],
        OnPremConfig={"AgentArns": [agent]}, MountOptions={"Version": "AUTOMATIC"})["LocationArn"]
    read = api.describe_location_nfs(LocationArn=arn)
    assert host_and_subdirectory(read["LocationUri"]) == ("nas.example", "/export/home/")
    assert read["OnPremConfig"]["AgentArns"] == [agent]
    assert read["MountOptions"]["Version"] == "AUTOMATIC"
    # What was read is applied again, as after an import.
    api.update_location_nfs(
        LocationArn=arn, Subdirectory="/export/home/", OnPremConfig=read["OnPremConfig"],
        MountOptions=read["MountOptions"])
    assert api.describe_location_nfs(LocationArn=arn) == read
    api.delete_location(LocationArn=arn)
    gone(lambda: api.describe_location_nfs(LocationArn=arn), "not found")
    gone(lambda: api.delete_location(LocationArn=arn), "not found")


@pytest.mark.parametrize("subdirectory,kept", [("/", "/"), ("/prefix", "/prefix/"), ("a/b", "/a/b/")])
def test_s3_location(api, subdirectory, kept):
    arn = eventually(
        lambda: api.create_location_s3(
            S3BucketArn="arn:aws:s3:::bucket", S3Config={"BucketAccessRoleArn": ROLE},
            Subdirectory=subdirectory, Tags=[])["LocationArn"],
        "Unable to assume role", "access test failed")
    read = api.describe_location_s3(LocationArn=arn)
    assert host_and_subdirectory(read["LocationUri"]) == ("bucket", kept)
    assert read["S3StorageClass"] == "STANDARD" and "AgentArns" not in read
    assert read["S3Config"]["BucketAccessRoleArn"] == ROLE
    api.delete_location(LocationArn=arn)


def test_s3_role_that_appears_later(control, api):
    """IAM is late: the first attempts are refused with the texts that the provider waits for."""
    role = "arn:aws:iam::123456789012:role/late"

    def make():
        return api.create_location_s3(
            S3BucketArn="arn:aws:s3:::bucket", S3Config={"BucketAccessRoleArn": role})

    gone(make, "Unable to assume role")
    control.set_role(role, "http://127.0.0.1:9")
    api.delete_location(LocationArn=eventually(make, "Unable to assume role")["LocationArn"])


def test_object_storage_location(api, world):
    agent = world.agent()
    given = {"ServerHostname": "minio.example", "ServerPort": 9000, "ServerProtocol": "HTTP",
             "BucketName": "backup", "Subdirectory": "/", "AccessKey": "id", "SecretKey": "secret",
             "AgentArns": [agent]}
    arn = api.create_location_object_storage(**given, Tags=[])["LocationArn"]
    read = api.describe_location_object_storage(LocationArn=arn)
    host, bucket_and_path = host_and_subdirectory(read["LocationUri"])
    assert (host, bucket_and_path) == ("minio.example", "/backup/")
    for name in ("ServerPort", "ServerProtocol", "AccessKey", "AgentArns"):
        assert read[name] == given[name]
    api.update_location_object_storage(
        LocationArn=arn, ServerPort=443, ServerProtocol="HTTPS", Subdirectory="/sub",
        AccessKey="id", SecretKey="secret")
    read = api.describe_location_object_storage(LocationArn=arn)
    assert host_and_subdirectory(read["LocationUri"]) == ("minio.example", "/backup/sub/")
    api.delete_location(LocationArn=arn)
    gone(lambda: api.describe_location_object_storage(LocationArn=arn), "not found")


def test_efs_location(api):
    """With every argument; the file system is read from the URI."""
    point = f"{EFS.replace('file-system/fs-', 'access-point/fsap-')}"
    arn = api.create_location_efs(
        EfsFilesystemArn=EFS, Ec2Config=NETWORK, Subdirectory="/a", AccessPointArn=point,
        FileSystemAccessRoleArn=ROLE, InTransitEncryption="TLS1_2", Tags=[])["LocationArn"]
    read = api.describe_location_efs(LocationArn=arn)
    host, subdirectory = host_and_subdirectory(read["LocationUri"])
    assert (host, subdirectory) == ("us-east-1.fs-0123456789abcdef0", "/a/")
    assert (read["AccessPointArn"], read["FileSystemAccessRoleArn"]) == (point, ROLE)
    assert (read["Ec2Config"], read["InTransitEncryption"]) == (NETWORK, "TLS1_2")
    api.delete_location(LocationArn=arn)
    gone(lambda: api.describe_location_efs(LocationArn=arn), "not found")


def wait_for_task(control, api, task):
    """Pending while CREATING or UNAVAILABLE, ready when AVAILABLE or RUNNING."""
    seen = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        read = api.describe_task(TaskArn=task)
        seen.append(read["Status"])
        assert read["Status"] in ("CREATING", "UNAVAILABLE", "AVAILABLE", "RUNNING")
        if read["Status"] == "UNAVAILABLE":
            assert read["ErrorCode"] and read["ErrorDetail"]
        if read["Status"] in ("AVAILABLE", "RUNNING"):
            return read, seen
        # An agent finds that the locations can be used.
        control.edit("task", task, lambda record: record.update(readiness={"status": "AVAILABLE"}))
    raise AssertionError(seen)


OPTIONS = {name: value for name, value in DEFAULTS.items()
           if name not in ("SecurityDescriptorCopyFlags", "ObjectMetadata")}


@pytest.mark.parametrize("mode", ["BASIC", "ENHANCED"])
def test_task(control, api, world, mode):
    options = OPTIONS if mode == "BASIC" else {**OPTIONS, "VerifyMode": "ONLY_FILES_TRANSFERRED"}
    given = {
        "SourceLocationArn": world.nfs(), "DestinationLocationArn": world.s3(), "Name": "home",
        "Options": options, "TaskMode": mode, "Excludes": rule("*.tmp"),
        "Schedule": {"ScheduleExpression": ""},
    }
    task = api.create_task(**given, Tags=[{"Key": "env", "Value": "p"}])["TaskArn"]
    read, seen = wait_for_task(control, api, task)
    assert seen[0] in ("CREATING", "UNAVAILABLE")
    for name in ("SourceLocationArn", "DestinationLocationArn", "Name", "TaskMode", "Excludes"):
        assert read[name] == given[name]
    assert {**read["Options"], **options} == read["Options"]
    assert "Schedule" not in read and read["Includes"] == []
    assert "CloudWatchLogGroupArn" not in read and "CurrentTaskExecutionArn" not in read
    # A plan finds nothing; the same applied once more changes nothing.
    api.update_task(TaskArn=task, Options=options, Name="home", Excludes=rule("*.tmp"),
                    Schedule={"ScheduleExpression": ""})
    again = api.describe_task(TaskArn=task)
    stable = set(read) - {"Status", "ErrorCode", "ErrorDetail"}
    assert {name: again[name] for name in stable} == {name: read[name] for name in stable}
    schedule = {"ScheduleExpression": "cron(0 12 ? * SUN,WED *)", "Status": "ENABLED"}
    api.update_task(TaskArn=task, Schedule=schedule, Excludes=[], Includes=rule("/a|/b"))
    again = api.describe_task(TaskArn=task)
    assert (again["Schedule"], again["Excludes"]) == (schedule, [])
    api.update_task(TaskArn=task, Schedule={"ScheduleExpression": ""})
    assert "Schedule" not in api.describe_task(TaskArn=task)
    api.delete_task(TaskArn=task)
    gone(lambda: api.describe_task(TaskArn=task), "not found")
    for location in (given["SourceLocationArn"], given["DestinationLocationArn"]):
        api.delete_location(LocationArn=location)
