"""The road of a first user: the AWS CLI and curl, from an agent without identity to a bucket."""

import re

import pytest
from world import tree
from world.agent import Agent
from world.control import ACCOUNT, CliFailed
from world.expected import Snapshot, versions
from world.process import accepts, run, wait_until
from world.secrets import remember
from world.site import ROLE, TERMINAL, Site

KEY = re.compile(r"([A-Z0-9]{5}-){4}[A-Z0-9]{5}")
ARNS = f"arn:aws:datasync:us-east-1:{ACCOUNT}"


@pytest.fixture(scope="module")
def road(directory, module_logs, nfs, store):
    """A site whose agent has no identity yet, and whose role has a key for the store."""
    site = Site(directory, module_logs, nfs, store)
    site.control.start()
    site.datasync = site.control.boto()
    site.control.cli(
        "role",
        "set-key",
        ROLE,
        "--access-key-id",
        store.access_key,
        "--endpoint",
        store.endpoint,
        text_in=store.secret_key + "\n",
    )
    site.agent = Agent("agent", directory, module_logs, site.control).start()
    try:
        yield site
    finally:
        site.stop()


def curl(*arguments):
    answer = run(["curl", "-s", "-m", "10", *arguments])
    assert answer.returncode == 0, answer
    for key in KEY.finditer(answer.stdout):
        remember("an activation key by curl", key.group())
    return answer.stdout


def wait_cli(site, what, command, done, timeout=60):
    def described():
        answer = site.control.aws(*command)
        return answer if done(answer["Status"]) else None

    return wait_until(what, described, timeout, 0.3)


def test_1_the_redirect_carries_a_key(road):
    road.agent.server.wait_for_port(80)
    answer = curl("-i", "http://127.0.0.1/?gatewayType=SYNC&activationRegion=us-east-1")
    assert answer.startswith("HTTP/1.1 302"), answer
    location = re.search(r"(?im)^location: (\S+)", answer).group(1)
    assert re.search(rf"[?&]activationKey={KEY.pattern}(&|$)", location), location


@pytest.mark.parametrize("flag", ["no_redirect", "no_redirect="])
def test_2_no_redirect_answers_the_key_alone(road, flag):
    answer = curl("-i", f"http://127.0.0.1/?gatewayType=SYNC&activationRegion=us-east-1&{flag}")
    head, _, body = answer.partition("\n\n")
    assert head.startswith("HTTP/1.1 200"), answer
    assert KEY.fullmatch(body.strip()), body


@pytest.mark.parametrize(
    "query", ["", "gatewayType=SYNC", "gatewayType=FILE_S3&activationRegion=us-east-1", "%ff=%"]
)
def test_2_bad_parameters_get_an_error_and_no_key(road, query):
    answer = curl("-i", f"http://127.0.0.1/?{query}")
    status = answer.split()[1]
    assert status.startswith("4") or (status == "302" and "errorType=" in answer), answer
    assert not KEY.search(answer), answer


def test_3_appendix_a_by_the_aws_cli(road, nfs, store):
    aws = road.control.aws
    source = road.source("road")
    tree.neighbours(source)
    tree.write(source + b"/six seconds at 1 MiB per second", tree.noise("road", 6 << 20))
    excluded = source + b"/left out.tmp"
    tree.write(excluded, b"excluded")
    snapshot = Snapshot(source, "p/", without=[excluded])
    key = curl("http://127.0.0.1/?gatewayType=SYNC&activationRegion=us-east-1&no_redirect").strip()
    agent = aws("create-agent", "--activation-key", key, "--agent-name", "a1")["AgentArn"]
    assert re.fullmatch(rf"{ARNS}:agent/agent-[0-9a-z]{{17}}", agent)
    road.agent.arn = agent
    wait_cli(road, "ONLINE", ["describe-agent", "--agent-arn", agent], "ONLINE".__eq__)
    assert aws("describe-agent", "--agent-arn", agent)["Name"] == "a1"

    nfs_arguments = ["--server-hostname", nfs.host, "--subdirectory", source.decode()]
    nfs_arguments += ["--on-prem-config", f"AgentArns={agent}"]
    from_nfs = aws("create-location-nfs", *nfs_arguments, "--mount-options", "Version=NFS3")
    bucket = store.bucket("road")
    s3_arguments = ["--s3-bucket-arn", f"arn:aws:s3:::{bucket}", "--subdirectory", "/p"]
    s3_arguments += ["--s3-config", f"BucketAccessRoleArn={ROLE}"]
    to_s3 = aws("create-location-s3", *s3_arguments, "--s3-storage-class", "STANDARD")

    ends = ["--source-location-arn", from_nfs["LocationArn"]]
    ends += ["--destination-location-arn", to_s3["LocationArn"], "--name", "n"]
    options = ["--options", "VerifyMode=ONLY_FILES_TRANSFERRED,LogLevel=TRANSFER"]
    excludes = ["--excludes", "FilterType=SIMPLE_PATTERN,Value='*.tmp|*/temp'"]
    task = aws("create-task", *ends, *options, *excludes)["TaskArn"]
    describe = ["describe-task", "--task-arn", task]
    wait_cli(road, "CREATING ends", describe, lambda status: status != "CREATING")
    described = aws(*describe)
    assert described["Status"] == "AVAILABLE", described

    override = ["--override-options", "BytesPerSecond=1048576"]
    execution = aws("start-task-execution", "--task-arn", task, *override)["TaskExecutionArn"]
    update = ["update-task-execution", "--task-execution-arn", execution]
    assert aws(*update, "--options", "BytesPerSecond=-1") is None
    describe = ["describe-task-execution", "--task-execution-arn", execution]
    ended = wait_cli(road, "the execution ends", describe, TERMINAL.__contains__)
    assert ended["Status"] == "SUCCESS", ended
    for phase in ("Prepare", "Transfer", "Verify"):
        assert ended["Result"][f"{phase}Status"] == "SUCCESS", ended["Result"]

    snapshot.assert_at(store.client, bucket)
    assert ended["FilesTransferred"] == len(snapshot.entries)
    assert ended["BytesWritten"] == sum(entry.size for entry in snapshot.entries.values())

    by_location = f"Name=LocationId,Values={from_nfs['LocationArn']},Operator=Contains"
    listed = aws("list-tasks", "--filters", by_location)
    assert [item["TaskArn"] for item in listed["Tasks"]] == [task]
    listed = aws("list-locations", "--filters", "Name=LocationType,Values=S3,Operator=Equals")
    assert [item["LocationArn"] for item in listed["Locations"]] == [to_s3["LocationArn"]]
    listed = aws("list-task-executions", "--task-arn", task)["TaskExecutions"]
    assert [item["TaskExecutionArn"] for item in listed] == [execution]


def test_4_the_port_is_closed_after_activation(road):
    wait_until("port 80 is closed", lambda: not accepts(80), 20)


def test_5_the_second_run_transfers_nothing(road, store):
    aws = road.control.aws
    task = aws("list-tasks")["Tasks"][0]["TaskArn"]
    to_s3 = aws("describe-task", "--task-arn", task)["DestinationLocationArn"]
    uri = aws("describe-location-s3", "--location-arn", to_s3)["LocationUri"]
    bucket = uri.removeprefix("s3://").split("/")[0]
    before = versions(store.client, bucket)
    execution = aws("start-task-execution", "--task-arn", task)["TaskExecutionArn"]
    describe = ["describe-task-execution", "--task-execution-arn", execution]
    ended = wait_cli(road, "the execution ends", describe, TERMINAL.__contains__)
    assert ended["Status"] == "SUCCESS", ended
    assert versions(store.client, bucket) == before
    assert (ended["FilesTransferred"], ended["BytesWritten"]) == (0, 0)


def test_6_what_is_in_use_cannot_be_deleted_and_what_is_not_can(road):
    aws = road.control.aws
    with pytest.raises(CliFailed, match="in-use by these location"):
        aws("delete-agent", "--agent-arn", road.agent.arn)
    for task in aws("list-tasks")["Tasks"]:
        aws("delete-task", "--task-arn", task["TaskArn"])
    for location in aws("list-locations")["Locations"]:
        aws("delete-location", "--location-arn", location["LocationArn"])
    aws("delete-agent", "--agent-arn", road.agent.arn)
    with pytest.raises(CliFailed, match="does not exist"):
        aws("describe-agent", "--agent-arn", road.agent.arn)


def test_7_a_deleted_agent_becomes_activatable_again(road):
    key = road.agent.activation_key()
    created = road.control.aws("create-agent", "--activation-key", key, "--agent-name", "a2")
    arn = created["AgentArn"]
    assert arn != road.agent.arn
    road.agent.arn = arn
    road.agent.wait_online(road.datasync)
