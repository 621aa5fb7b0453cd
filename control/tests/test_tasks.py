import pytest

from conftest import everything
from control_process import EFS, NETWORK, NOWHERE

INVALID = "InvalidRequestException"
DEFAULTS = {
    "VerifyMode": "POINT_IN_TIME_CONSISTENT", "OverwriteMode": "ALWAYS", "Atime": "BEST_EFFORT",
    "Mtime": "PRESERVE", "Uid": "INT_VALUE", "Gid": "INT_VALUE",
    "PreserveDeletedFiles": "PRESERVE", "PreserveDevices": "NONE", "PosixPermissions": "PRESERVE",
    "BytesPerSecond": -1, "TaskQueueing": "ENABLED", "LogLevel": "OFF", "TransferMode": "CHANGED",
    "SecurityDescriptorCopyFlags": "NONE", "ObjectTags": "PRESERVE",
    "ObjectMetadata": "PRESERVE",
}


def rule(value):
    return [{"FilterType": "SIMPLE_PATTERN", "Value": value}]


def test_a_new_task(world, api):
    task = world.task(Name="n", Excludes=rule("*.tmp"), Options={"LogLevel": "TRANSFER"})
    shown = api.describe_task(TaskArn=task)
    assert shown["Status"] == "CREATING" and shown["TaskMode"] == "BASIC"
    assert shown["Options"] == {**DEFAULTS, "LogLevel": "TRANSFER"}
    assert (shown["Name"], shown["Excludes"], shown["Includes"]) == ("n", rule("*.tmp"), [])
    assert "CurrentTaskExecutionArn" not in shown and "Schedule" not in shown
    listed = {entry["TaskArn"]: entry for entry in everything(api.list_tasks)}
    assert listed[task]["Name"] == "n"


def test_enhanced_mode_has_its_own_default(world, api):
    task = world.task(TaskMode="ENHANCED")
    assert api.describe_task(TaskArn=task)["Options"]["VerifyMode"] == "ONLY_FILES_TRANSFERRED"


SHARE = "datasync:delete-share-max-percent"


def share(value):
    return [{"Key": SHARE, "Value": value}]


@pytest.mark.parametrize("value", ["", "101", "-1", "half", "50.5"])
def test_a_share_of_deletes_that_is_none_is_refused(world, api, refused, value):
    text = f"Tag {SHARE} is not allowed: \"{value}\" is not a whole number from 0 to 100"
    refused(world.task, INVALID, text, Tags=share(value))
    task = world.task()
    refused(api.tag_resource, INVALID, text, ResourceArn=task, Tags=share(value))
    refused(world.start, INVALID, text, task=task, Tags=share(value))


def test_the_share_of_deletes_is_frozen_in_the_execution(control, world, api):
    def frozen(execution):
        found = []
        control.edit("execution", execution, lambda record: found.append(record["spec"]))
        return found[0]["extensions"]["delete_share_max"]

    task = world.task(Tags=share("80"))
    first = world.start(task, Includes=rule("/a"))
    api.tag_resource(ResourceArn=task, Tags=share("100"))
    second = world.start(task, Includes=rule("/b"))
    third = world.start(task, Includes=rule("/c"), Tags=share("0"))
    api.untag_resource(ResourceArn=task, Keys=[SHARE])
    fourth = world.start(task, Includes=rule("/d"))
    assert [frozen(e) for e in (first, second, third, fourth)] == [80, 100, 0, 50]


ALGORITHM = "datasync:checksum-algorithm"


def test_a_checksum_algorithm_is_one_that_can_be_asked_for(control, world, api, refused):
    text = (f"Tag {ALGORITHM} is not allowed: \"MD5\" is not a ChecksumAlgorithm: it must be one of "
            "AUTOMATIC, SHA256.")
    wrong = [{"Key": ALGORITHM, "Value": "MD5"}]
    refused(world.task, INVALID, text, Tags=wrong)
    task = world.task(Tags=[{"Key": ALGORITHM, "Value": "SHA256"}])
    refused(api.tag_resource, INVALID, text, ResourceArn=task, Tags=wrong)
    refused(world.start, INVALID, text, task=task, Tags=wrong)
    execution, found = world.start(task), []
    control.edit("execution", execution, lambda record: found.append(record["spec"]))
    assert found[0]["extensions"]["checksum_algorithm"] == "SHA256"


def test_update_merges_and_clears(world, api, refused):
    task = world.task(Options={"LogLevel": "BASIC"}, Excludes=rule("/a"))
    api.update_task(TaskArn=task, Options={"VerifyMode": "NONE"}, Name="new")
    shown = api.describe_task(TaskArn=task)
    assert shown["Options"]["LogLevel"] == "BASIC" and shown["Options"]["VerifyMode"] == "NONE"
    assert shown["Excludes"] == rule("/a") and shown["Name"] == "new"
    api.update_task(TaskArn=task, Excludes=[], ManifestConfig={}, TaskReportConfig={})
    assert api.describe_task(TaskArn=task)["Excludes"] == []
    refused(api.update_task, INVALID, "Atime,Mtime", TaskArn=task, Options={"Mtime": "NONE"})
    assert api.describe_task(TaskArn=task)["Options"]["Mtime"] == "PRESERVE"


@pytest.mark.parametrize("text,members", [
    ("Option: TransferMode,PreserveDeletedFiles, Value: ALL,REMOVE.",
     {"Options": {"TransferMode": "ALL", "PreserveDeletedFiles": "REMOVE"}}),
    ("Option: Atime,Mtime", {"Options": {"Atime": "NONE"}}),
    ("Option: BytesPerSecond, Value: 0", {"Options": {"BytesPerSecond": 0}}),
    ("Option: VerifyMode",
     {"TaskMode": "ENHANCED", "Options": {"VerifyMode": "POINT_IN_TIME_CONSISTENT"}}),
    ("Options.VerifyMode \"FOO\" must be one of [POINT_IN_TIME_CONSISTENT, ONLY_FILES_TRANSFERRED, NONE]",
     {"Options": {"VerifyMode": "FOO"}}),
    ("[BASIC, ENHANCED]", {"TaskMode": "FAST"}),
    ("Excludes", {"Excludes": rule("/a") + rule("/b")}),
    ("Includes: pattern \"x\" can match no path", {"Includes": rule("x")}),
    ("Includes: pattern \"\" can match no path", {"Includes": rule("/a|")}),
    ("Excludes.member.Value", {"Excludes": rule("")}),
    ("Includes.member.Value", {"Includes": rule("")}),
    ("Schedule.ScheduleExpression: it must be cron(",
     {"Schedule": {"ScheduleExpression": "0 12 * * ? *"}}),
    ("one of them must be ?", {"Schedule": {"ScheduleExpression": "cron(0 12 1 * SUN *)"}}),
    ("at least 60 minutes must lie between two starts",
     {"Schedule": {"ScheduleExpression": "rate(30 minutes)"}}),
    ("starts every 15 minutes", {"Schedule": {"ScheduleExpression": "cron(0/15 * * * ? *)"}}),
    ("must match", {"Schedule": {"ScheduleExpression": "rate(1 hour);"}}),
    ("at most 256 characters", {"Schedule": {"ScheduleExpression": "rate(1 hour)" + " " * 256}}),
    ("[ENABLED, DISABLED]",
     {"Schedule": {"ScheduleExpression": "rate(1 hour)", "Status": "ON"}}),
    ("CloudWatchLogGroupArn", {"CloudWatchLogGroupArn": "group"}),
])
def test_members_are_checked(world, refused, text, members):
    refused(world.task, INVALID, text, **members)


RULES = [
    ("TransferMode,PreserveDeletedFiles, Value: ALL,REMOVE.", "BASIC",
     {"TransferMode": "ALL"}, {"PreserveDeletedFiles": "REMOVE"}),
    ("Atime,Mtime, Value: NONE,PRESERVE.", "BASIC", {}, {"Atime": "NONE"}),
    ("Atime,Mtime, Value: BEST_EFFORT,NONE.", "BASIC", {}, {"Mtime": "NONE"}),
    ("Atime,Mtime, Value: NONE,PRESERVE.", "BASIC",
     {"Atime": "NONE", "Mtime": "NONE"}, {"Mtime": "PRESERVE"}),
    ("VerifyMode, Value: POINT_IN_TIME_CONSISTENT", "ENHANCED",
     {}, {"VerifyMode": "POINT_IN_TIME_CONSISTENT"}),
    ("Uid, Value: NAME.", "BASIC", {}, {"Uid": "NAME"}),
    ("Gid, Value: BOTH.", "ENHANCED", {}, {"Gid": "BOTH"}),
    ("SecurityDescriptorCopyFlags, Value: OWNER_DACL", "BASIC",
     {}, {"SecurityDescriptorCopyFlags": "OWNER_DACL"}),
    ("BytesPerSecond, Value: 0", "BASIC", {}, {"BytesPerSecond": 0}),
]


@pytest.mark.parametrize("text,mode,first,then", RULES)
def test_rules_are_checked_on_merged_options(world, api, refused, text, mode, first, then):
    text = f"Invalid SyncOption value. Option: {text}"
    refused(world.task, INVALID, text, TaskMode=mode, Options=first | then)
    task = world.task(TaskMode=mode, Options=first)
    before = api.describe_task(TaskArn=task)["Options"]
    refused(api.update_task, INVALID, text, TaskArn=task, Options=then)
    refused(world.start, INVALID, text, task=task, OverrideOptions=then)
    assert api.describe_task(TaskArn=task)["Options"] == before
    assert api.list_task_executions(TaskArn=task)["TaskExecutions"] == []


def test_enhanced_tasks_keep_access_times_apart(world, api):
    task = world.task(TaskMode="ENHANCED", Options={"Atime": "NONE"})
    api.update_task(TaskArn=task, Options={"Atime": "BEST_EFFORT", "Mtime": "NONE"})
    execution = world.start(task, OverrideOptions={"Mtime": "PRESERVE"})
    found = api.describe_task_execution(TaskExecutionArn=execution)["Options"]
    assert (found["Atime"], found["Mtime"]) == ("BEST_EFFORT", "PRESERVE")


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_archives_cannot_be_verified_as_a_whole(world, api, refused, storage_class):
    text = f"invalid for storage class {storage_class}"
    archive = world.s3(S3StorageClass=storage_class)
    refused(world.task, INVALID, text, DestinationLocationArn=archive)
    task = world.task(DestinationLocationArn=archive, Options={"VerifyMode": "NONE"})
    whole = {"VerifyMode": "POINT_IN_TIME_CONSISTENT"}
    refused(api.update_task, INVALID, text, TaskArn=task, Options=whole)
    refused(world.start, INVALID, text, task=task, OverrideOptions=whole)
    # The class is changed behind a task that was right when it was made.
    bucket = world.s3()
    task = world.task(DestinationLocationArn=bucket)
    api.update_location_s3(LocationArn=bucket, S3StorageClass=storage_class)
    refused(world.start, INVALID, text, task=task)
    refused(api.update_task, INVALID, text, TaskArn=task, Options={"LogLevel": "BASIC"})
    api.update_task(TaskArn=task, Options={"VerifyMode": "ONLY_FILES_TRANSFERRED"})


def test_nfs_4_2_needs_enhanced_mode(world, api, refused):
    source = world.nfs(MountOptions={"Version": "NFS4_2"})
    refused(world.task, INVALID, "needs task mode ENHANCED", SourceLocationArn=source)
    world.task(SourceLocationArn=source, TaskMode="ENHANCED")
    api.update_location_nfs(LocationArn=source, MountOptions={"Version": "NFS3"})
    task = world.task(SourceLocationArn=source)
    api.update_location_nfs(LocationArn=source, MountOptions={"Version": "NFS4_2"})
    refused(world.start, INVALID, "needs task mode ENHANCED", task=task)


def test_an_empty_schedule_is_none(world, api):
    task = world.task(Schedule={"ScheduleExpression": ""})
    assert "Schedule" not in api.describe_task(TaskArn=task)


def test_pairs(world, api, refused):
    nfs, bucket = world.nfs(), world.s3()
    efs = api.create_location_efs(EfsFilesystemArn=EFS, Ec2Config=NETWORK)["LocationArn"]
    for source, destination, text in [
        (nfs, nfs, "different locations"),
        (bucket, world.s3(), "overlap"),
    ]:
        refused(
            api.create_task, INVALID, text,
            SourceLocationArn=source, DestinationLocationArn=destination,
        )
    for inner in ("/export/below", "/export/"):
        refused(
            api.create_task, INVALID, "lies in the other",
            SourceLocationArn=nfs, DestinationLocationArn=world.nfs(Subdirectory=inner),
        )
    agent = world.agent()
    world.task(
        SourceLocationArn=world.nfs(agent),
        DestinationLocationArn=world.nfs(agent, Subdirectory="/other"),
    )
    world.task(SourceLocationArn=efs)
    world.task(DestinationLocationArn=efs)
    world.task(SourceLocationArn=efs, DestinationLocationArn=nfs)
    world.task(SourceLocationArn=world.s3(), DestinationLocationArn=nfs)
    world.task(SourceLocationArn=world.s3(), DestinationLocationArn=efs)
    api.delete_location(LocationArn=bucket)
    refused(
        api.create_task, INVALID, f"Location {bucket} is not found.",
        SourceLocationArn=nfs, DestinationLocationArn=bucket,
    )


def test_agents_must_meet(world, api, refused):
    one, two = world.agent(), world.agent()
    source, destination = world.nfs(agent=one), world.store(AgentArns=[two])
    refused(
        api.create_task, INVALID, "No agent can run the task",
        SourceLocationArn=source, DestinationLocationArn=destination,
    )
    api.update_location_nfs(LocationArn=source, OnPremConfig={"AgentArns": [one, two]})
    world.task(SourceLocationArn=source, DestinationLocationArn=destination)


def test_the_failure_of_a_probe_is_shown(control, world, api, refused):
    task = world.task()
    failure = {"code": "SourceUnreachable", "detail": "nas.example does not answer"}
    control.edit("task", task, lambda record: record.update(
        readiness={"status": "UNAVAILABLE", "failure": failure}))
    shown = api.describe_task(TaskArn=task)
    assert shown["Status"] == "UNAVAILABLE" and shown["ErrorCode"] and shown["ErrorDetail"]
    refused(api.start_task_execution, INVALID, "UNAVAILABLE", TaskArn=task)


def test_creating_tasks_cannot_be_started(world, api, refused):
    refused(api.start_task_execution, INVALID, "CREATING", TaskArn=world.task())


def test_filters_by_location(world, api):
    source = world.nfs()
    task = world.task(SourceLocationArn=source)
    world.task()
    filters = [{"Name": "LocationId", "Values": [source], "Operator": "Contains"}]
    assert [entry["TaskArn"] for entry in api.list_tasks(Filters=filters)["Tasks"]] == [task]


def test_deleted_tasks_are_gone(world, api, refused):
    task = world.task()
    api.delete_task(TaskArn=task)
    for method in (api.describe_task, api.update_task, api.delete_task, api.start_task_execution):
        refused(method, INVALID, f"Sync task {task} is not found.", TaskArn=task)


def test_tags(world, api, refused):
    task = world.task(Tags=[{"Key": "a", "Value": "1"}])
    api.tag_resource(ResourceArn=task, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b"}])
    tags = api.list_tags_for_resource(ResourceArn=task)["Tags"]
    assert tags == [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    first = api.list_tags_for_resource(ResourceArn=task, MaxResults=1)
    rest = api.list_tags_for_resource(ResourceArn=task, NextToken=first["NextToken"])
    assert first["Tags"] + rest["Tags"] == tags and "NextToken" not in rest
    api.untag_resource(ResourceArn=task, Keys=["a", "absent"])
    assert [tag["Key"] for tag in api.list_tags_for_resource(ResourceArn=task)["Tags"]] == ["b"]
    refused(api.tag_resource, INVALID, "aws:", ResourceArn=task, Tags=[{"Key": "aws:x"}])
    many = [{"Key": str(n)} for n in range(50)]
    refused(api.tag_resource, INVALID, "at most 50", ResourceArn=task, Tags=many)


MANIFEST = {
    "Action": "TRANSFER",
    "Format": "CSV",
    "Source": {"S3": {
        "ManifestObjectPath": "lists/one.csv",
        "BucketAccessRoleArn": "arn:aws:iam::123456789012:role/lists",
        "S3BucketArn": "arn:aws:s3:::lists",
        "ManifestObjectVersionId": "v1",
    }},
}
REPORT = {
    "Destination": {"S3": {
        "Subdirectory": "reports/",
        "S3BucketArn": "arn:aws:s3:::reports",
        "BucketAccessRoleArn": "arn:aws:iam::123456789012:role/reports",
    }},
    "OutputType": "STANDARD",
    "ReportLevel": "SUCCESSES_AND_ERRORS",
    "ObjectVersionIds": "NONE",
    "Overrides": {"Deleted": {"ReportLevel": "ERRORS_ONLY"}, "Skipped": {}},
}


@pytest.fixture
def roles(control):
    """The roles of both have keys."""
    for config in (MANIFEST["Source"], REPORT["Destination"]):
        control.set_role(config["S3"]["BucketAccessRoleArn"], NOWHERE)


def without(config, *path):
    """A copy without the member at the end of the path."""
    first, rest = path[0], path[1:]
    if rest:
        return config | {first: without(config[first], *rest)}
    return {name: value for name, value in config.items() if name != first}


@pytest.mark.parametrize("name,config", [
    ("ManifestConfig", MANIFEST),
    ("ManifestConfig", without(MANIFEST, "Action")),
    ("ManifestConfig", without(MANIFEST, "Format")),
    ("ManifestConfig", without(MANIFEST, "Source", "S3", "ManifestObjectVersionId")),
    ("TaskReportConfig", REPORT),
    ("TaskReportConfig", without(REPORT, "OutputType")),
    ("TaskReportConfig", without(REPORT, "ReportLevel")),
    ("TaskReportConfig", without(REPORT, "ObjectVersionIds")),
    ("TaskReportConfig", without(REPORT, "Overrides")),
    ("TaskReportConfig", without(REPORT, "Overrides", "Skipped")),
    ("TaskReportConfig", without(REPORT, "Destination", "S3", "Subdirectory")),
])
def test_manifest_and_report_are_shown_as_they_were_given(world, api, roles, name, config):
    task = world.task(**{name: config})
    assert api.describe_task(TaskArn=task)[name] == config
    api.update_task(TaskArn=task, Name="other")
    assert api.describe_task(TaskArn=task)[name] == config
    execution = world.start(task)
    assert api.describe_task_execution(TaskExecutionArn=execution)[name] == config
    api.update_task(TaskArn=task, **{name: {}})
    assert name not in api.describe_task(TaskArn=task)
    assert api.describe_task_execution(TaskExecutionArn=execution)[name] == config
    api.update_task(TaskArn=task, **{name: config})
    assert api.describe_task(TaskArn=task)[name] == config


def test_the_result_of_a_report_is_pending_until_there_is_one(world, api, roles):
    execution = world.start(world.task(TaskReportConfig=REPORT))
    shown = api.describe_task_execution(TaskExecutionArn=execution)
    assert shown["ReportResult"] == {"Status": "PENDING"}
    api.cancel_task_execution(TaskExecutionArn=execution)
    result = api.describe_task_execution(TaskExecutionArn=execution)["ReportResult"]
    assert result["Status"] == "ERROR" and "prior to generating" in result["ErrorDetail"]


@pytest.mark.parametrize("name,place", [
    ("ManifestConfig", ("Source", "S3")), ("TaskReportConfig", ("Destination", "S3")),
])
def test_a_role_without_credentials_is_refused_at_the_start(world, refused, name, place):
    config = MANIFEST if name == "ManifestConfig" else REPORT
    role = "arn:aws:iam::123456789012:role/nobody-knows"
    first, second = place
    named = config[first][second] | {"BucketAccessRoleArn": role}
    task = world.task(**{name: config | {first: {second: named}}})
    refused(world.start, INVALID, role, task=task)
    refused(world.start, INVALID, "role set-key", task=task)


def test_a_report_among_what_the_task_deletes_is_found_however_the_store_is_spelled(
    control, world, refused
):
    spelled = "arn:aws:iam::123456789012:role/spelled"
    control.set_role(spelled, "http://S3.example:80/")
    place = {"S3BucketArn": "arn:aws:s3:::bucket", "BucketAccessRoleArn": spelled}
    agent = world.agent()
    task = world.task(
        SourceLocationArn=world.nfs(agent),
        DestinationLocationArn=world.store(ServerProtocol="HTTP", AgentArns=[agent]),
        Options={"PreserveDeletedFiles": "REMOVE"},
        TaskReportConfig={"Destination": {"S3": place}},
    )
    refused(world.start, INVALID, "from where the task deletes", task=task)
