"""What was set comes back exactly, what was absent stays absent: random valid inputs, described
after every create and update. A Terraform plan after an apply would be empty.

Every failure names its seed; DATASYNC_SEED=<seed> repeats it.
"""

import random
import string

import pytest

from conftest import everything
from control_process import ACCOUNT, EFS, ROLE
from model_walk import PEM
from test_random import SEED
from test_tasks import DEFAULTS

ROUNDS = 12
UNSHOWN = {"LocationArn", "CreationTime"}
PATH = string.ascii_letters + string.digits + "_-+.() \u00a0"
NAME = string.ascii_letters + string.digits + " +=._:@/-"
CLASSES = ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER",
           "DEEP_ARCHIVE", "GLACIER_INSTANT_RETRIEVAL"]
VERSIONS = ["AUTOMATIC", "NFS3", "NFS4_0", "NFS4_1", "NFS4_2"]
SCHEDULES = ["rate(1 hour)", "rate(3 days)", "cron(0 12 ? * SUN,WED *)", "cron(30 2 L * ? 2030)"]


@pytest.fixture
def chance(request):
    print("seed", SEED)
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="module")
def agents(control):
    client = control.client()
    return sorted(
        client.create_agent(ActivationKey=control.activation_key())["AgentArn"] for _ in range(8)
    )


def text(chance, letters, most):
    return "".join(chance.choices(letters, k=chance.randrange(1, most)))


def part(chance):
    """A component of a path that is neither `.` nor `..`."""
    return chance.choice(string.ascii_letters) + "".join(chance.choices(PATH, k=chance.randrange(12)))


def path(chance):
    parts = [part(chance) for _ in range(chance.randrange(1, 5))]
    return chance.choice(["", "/"]) + "/".join(parts) + chance.choice(["", "/"])


def hostname(chance):
    label = string.ascii_letters + string.digits
    names = [
        text(chance, label + "-", 20) + chance.choice(label) for _ in range(chance.randrange(1, 4))
    ]
    return chance.choice([".".join(names), "10.0.0.7", "2001:db8::7"])


def some(chance, **makers):
    """A random choice of the members."""
    return {name: make() for name, make in makers.items() if chance.random() < 0.5}


def subset(chance, agents):
    return chance.sample(agents, chance.randrange(1, len(agents) + 1))


def tags(chance):
    keys = {text(chance, NAME.replace("@", ""), 30) for _ in range(chance.randrange(4))}
    return [{"Key": key, "Value": text(chance, NAME, 40)} for key in sorted(keys)
            if not key.lower().startswith(("aws:", "datasync:"))]


def shown_tags(api, arn):
    return api.list_tags_for_resource(ResourceArn=arn)["Tags"]


def shown(described):
    return {name: value for name, value in described.items() if name not in UNSHOWN}


class Pair:
    """CreateLocation…, DescribeLocation… and UpdateLocation… of one type."""

    def __init__(self, api, kind):
        self.create = getattr(api, f"create_location_{kind}")
        self.describe = getattr(api, f"describe_location_{kind}")
        self.update = getattr(api, f"update_location_{kind}")
        self.api = api

    def holds(self, chance, given, changes, expected):
        """`expected` says what is shown of the members that are set by now."""
        own = tags(chance)
        arn = self.create(**given, Tags=own)["LocationArn"]
        assert shown(self.describe(LocationArn=arn)) == expected(given), (SEED, given)
        assert shown_tags(self.api, arn) == own, (SEED, own)
        for change in changes:
            self.update(LocationArn=arn, **change)
            given = {**given, **change}
            assert shown(self.describe(LocationArn=arn)) == expected(given), (SEED, given, change)
        uris = {entry["LocationArn"]: entry["LocationUri"]
                for entry in everything(self.api.list_locations)}
        assert uris[arn] == expected(given)["LocationUri"]
        self.api.delete_location(LocationArn=arn)


def test_nfs(api, chance, agents):
    def members():
        return some(
            chance, Subdirectory=lambda: path(chance), ServerHostname=lambda: hostname(chance),
            OnPremConfig=lambda: {"AgentArns": subset(chance, agents)},
            MountOptions=lambda: {"Version": chance.choice(VERSIONS)},
        )

    def expected(given):
        inner = given["Subdirectory"].strip("/")
        return {
            "LocationUri": f"nfs://{given['ServerHostname']}/{inner}/",
            "OnPremConfig": given["OnPremConfig"],
            "MountOptions": given.get("MountOptions", {"Version": "AUTOMATIC"}),
        }

    for _ in range(ROUNDS):
        given = {"Subdirectory": path(chance), "ServerHostname": hostname(chance),
                 "OnPremConfig": {"AgentArns": subset(chance, agents)}, **members()}
        Pair(api, "nfs").holds(chance, given, [members() for _ in range(3)], expected)


def prefix_uri(base, given):
    inner = given.get("Subdirectory", "").strip("/")
    return f"{base}/{inner}/" if inner else f"{base}/"


def test_s3(api, chance, agents):
    def members():
        return some(chance, Subdirectory=lambda: chance.choice(["", "/", path(chance)]),
                    S3StorageClass=lambda: chance.choice(CLASSES),
                    S3Config=lambda: {"BucketAccessRoleArn": ROLE})

    def expected(given):
        known = {
            "LocationUri": prefix_uri(f"s3://{given['S3BucketArn'].split(':')[-1]}", given),
            "S3StorageClass": given.get("S3StorageClass", "STANDARD"),
            "S3Config": given["S3Config"],
        }
        return known | {name: given[name] for name in ("AgentArns",) if name in given}

    for _ in range(ROUNDS):
        given = {"S3BucketArn": f"arn:aws:s3:::{text(chance, string.ascii_lowercase, 30)}abc",
                 "S3Config": {"BucketAccessRoleArn": ROLE}, **members(),
                 **some(chance, AgentArns=lambda: subset(chance, agents))}
        Pair(api, "s3").holds(chance, given, [members() for _ in range(2)], expected)


def test_object_storage(api, chance, agents):
    def members():
        keys = {"AccessKey": text(chance, string.ascii_letters, 40),
                "SecretKey": text(chance, string.ascii_letters, 40)}
        return some(
            chance, Subdirectory=lambda: chance.choice(["", "/", path(chance)]),
            ServerPort=lambda: chance.randrange(1000, 65536),
            ServerProtocol=lambda: chance.choice(["HTTPS", "HTTP"]),
            ServerHostname=lambda: hostname(chance), AgentArns=lambda: subset(chance, agents),
            ServerCertificate=lambda: PEM.encode() * chance.randrange(1, 4),
        ) | chance.choice([{}, keys])

    def expected(given):
        protocol = given.get("ServerProtocol", "HTTPS")
        base = f"object-storage://{given['ServerHostname']}/{given['BucketName']}"
        known = {"LocationUri": prefix_uri(base, given), "ServerProtocol": protocol,
                 "ServerPort": given.get("ServerPort", {"HTTPS": 443, "HTTP": 80}[protocol])}
        same = ("AccessKey", "AgentArns", "ServerCertificate")
        return known | {name: given[name] for name in same if name in given}

    for _ in range(ROUNDS):
        given = {"ServerHostname": hostname(chance),
                 "BucketName": text(chance, string.ascii_lowercase, 30) + "abc", **members()}
        Pair(api, "object_storage").holds(chance, given, [members() for _ in range(3)], expected)


def test_efs(api, chance):
    point = f"arn:aws:elasticfilesystem:us-east-1:{ACCOUNT}:access-point/fsap-"
    ec2 = f"arn:aws:ec2:us-east-1:{ACCOUNT}:"

    def secured():
        """Access points and roles go with TLS only."""
        return some(chance, AccessPointArn=lambda: point + f"{chance.randrange(16**17):017x}",
                    FileSystemAccessRoleArn=lambda: ROLE) | {"InTransitEncryption": "TLS1_2"}

    def expected(given):
        inner = given.get("Subdirectory", "").strip("/")
        known = {
            "LocationUri": f"efs://us-east-1.{EFS.split('/')[-1]}/{inner}/" if inner
                           else f"efs://us-east-1.{EFS.split('/')[-1]}/",
            "Ec2Config": given["Ec2Config"],
            "InTransitEncryption": given.get("InTransitEncryption", "NONE"),
        }
        same = ("AccessPointArn", "FileSystemAccessRoleArn")
        return known | {name: given[name] for name in same if given.get(name)}

    cleared = {"AccessPointArn": "", "FileSystemAccessRoleArn": "", "InTransitEncryption": "NONE"}
    for _ in range(ROUNDS):
        groups = [f"{ec2}security-group/sg-{chance.randrange(16**8):x}"
                  for _ in range(chance.randrange(1, 6))]
        given = {"EfsFilesystemArn": EFS, "Ec2Config": {
            "SubnetArn": f"{ec2}subnet/subnet-{chance.randrange(16**8):x}",
            "SecurityGroupArns": groups}}
        given |= some(chance, Subdirectory=lambda: path(chance)) | chance.choice([{}, secured()])
        changes = [{**secured(), **some(chance, Subdirectory=lambda: path(chance))}, cleared]
        Pair(api, "efs").holds(chance, given, changes, expected)


def test_agents(api, world, chance):
    for _ in range(ROUNDS):
        own, name = tags(chance), chance.choice([None, text(chance, NAME, 80)])
        arn = world.agent(Tags=own, **({"AgentName": name} if name else {}))
        for _ in range(3):
            described = api.describe_agent(AgentArn=arn)
            assert described.get("Name") == name, SEED
            assert set(described) - {"Name"} == {
                "AgentArn", "Status", "CreationTime", "EndpointType"}
            assert shown_tags(api, arn) == own
            if chance.random() < 0.7:
                name = chance.choice([None, text(chance, NAME, 80)])
                api.update_agent(AgentArn=arn, Name=name or "")


OPTIONS = {
    "VerifyMode": ["ONLY_FILES_TRANSFERRED", "NONE"], "OverwriteMode": ["ALWAYS", "NEVER"],
    "Uid": ["NONE", "INT_VALUE"], "Gid": ["NONE", "INT_VALUE"],
    "PreserveDeletedFiles": ["PRESERVE", "REMOVE"], "PreserveDevices": ["NONE", "PRESERVE"],
    "PosixPermissions": ["NONE", "PRESERVE"], "BytesPerSecond": [-1, 1, 1 << 20, 2**63 - 1],
    "TaskQueueing": ["ENABLED", "DISABLED"], "LogLevel": ["OFF", "BASIC", "TRANSFER"],
    "SecurityDescriptorCopyFlags": ["NONE"], "ObjectTags": ["PRESERVE", "NONE"],
    "ObjectMetadata": ["PRESERVE", "NONE"],
}
TIMES = [{"Atime": "NONE", "Mtime": "NONE"}, {"Atime": "BEST_EFFORT", "Mtime": "PRESERVE"}]


def options(chance):
    chosen = {name: chance.choice(words) for name, words in OPTIONS.items() if chance.random() < 0.4}
    return chosen | chance.choice([{}, *TIMES])


def filter_of(chance):
    patterns = ["/" + part(chance) for _ in range(chance.randrange(1, 4))]
    patterns += chance.choice([[], ["*.tmp"], ["*/temp"], ["/a*"], [r"/b\*\|\\c"]])
    return [{"FilterType": "SIMPLE_PATTERN", "Value": "|".join(patterns)}]


def task_members(chance):
    log_group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{text(chance, string.ascii_letters, 30)}"
    return some(
        chance, Name=lambda: text(chance, NAME, 100), Options=lambda: options(chance),
        Includes=lambda: chance.choice([[], filter_of(chance)]),
        Excludes=lambda: chance.choice([[], filter_of(chance)]),
        CloudWatchLogGroupArn=lambda: log_group + chance.choice(["", ":*"]),
        Schedule=lambda: {"ScheduleExpression": chance.choice(SCHEDULES),
                          "Status": chance.choice(["ENABLED", "DISABLED"])},
    )


def test_tasks(api, world, chance):
    source, destination = world.nfs(), world.s3()
    for _ in range(ROUNDS * 2):
        mode = chance.choice(["BASIC", "ENHANCED"])
        given, own = task_members(chance), tags(chance)
        given.setdefault("Options", {})
        arn = api.create_task(
            SourceLocationArn=source, DestinationLocationArn=destination, Tags=own, **given,
            **({} if mode == "BASIC" else {"TaskMode": mode}))["TaskArn"]
        default = {**DEFAULTS}
        if mode == "ENHANCED":
            default["VerifyMode"] = "ONLY_FILES_TRANSFERRED"
        for _ in range(4):
            described = api.describe_task(TaskArn=arn)
            expected = {
                "TaskArn": arn, "SourceLocationArn": source, "DestinationLocationArn": destination,
                "TaskMode": mode, "SourceNetworkInterfaceArns": [],
                "DestinationNetworkInterfaceArns": [], "Includes": [], "Excludes": [],
                **given, "Options": default | given["Options"],
            }
            unsettled = {"Status", "CreationTime", "ErrorCode", "ErrorDetail", "ScheduleDetails"}
            found = {name: value for name, value in described.items() if name not in unsettled}
            assert found == expected, (SEED, given)
            assert ("ScheduleDetails" in described) == ("Schedule" in given)
            assert shown_tags(api, arn) == own
            # Nothing but what was described, set again: nothing changes.
            api.update_task(TaskArn=arn, Options=described["Options"],
                            Includes=described["Includes"], Excludes=described["Excludes"])
            change = task_members(chance)
            api.update_task(TaskArn=arn, **change)
            merged = given["Options"] | change.get("Options", {})
            given = {**given, **change, "Options": merged}
        api.delete_task(TaskArn=arn)


def test_executions(api, world, chance):
    for _ in range(ROUNDS):
        task = world.task(Options=options(chance), Excludes=filter_of(chance))
        of_task = api.describe_task(TaskArn=task)
        own, override = tags(chance), options(chance)
        given = some(chance, Includes=lambda: filter_of(chance),
                     Excludes=lambda: chance.choice([[], filter_of(chance)]))
        # A busy agent without a queue is another test's matter.
        override["TaskQueueing"] = "ENABLED"
        arn = world.start(task, Tags=own, OverrideOptions=override, **given)
        found = api.describe_task_execution(TaskExecutionArn=arn)
        assert found["Options"] == of_task["Options"] | override, (SEED, override)
        for name in ("Includes", "Excludes"):
            assert found[name] == given.get(name, of_task[name]), (SEED, given)
        assert shown_tags(api, arn) == own
        assert "LaunchTime" not in found and "EndTime" not in found
        api.cancel_task_execution(TaskExecutionArn=arn)
