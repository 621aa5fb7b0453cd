from conftest import everything
from test_tasks import rule

INVALID = "InvalidRequestException"
COUNTERS = [
    "EstimatedFilesToTransfer", "EstimatedBytesToTransfer", "FilesTransferred", "BytesWritten",
    "BytesTransferred", "BytesCompressed", "FilesDeleted", "FilesSkipped", "FilesVerified",
    "EstimatedFilesToDelete",
]


def test_start_freezes_the_task(world, api):
    task = world.task()
    execution = world.start(task, Includes=rule("/a"), OverrideOptions={"BytesPerSecond": 1024},
                            Tags=[{"Key": "k", "Value": "v"}])
    api.update_task(TaskArn=task, Options={"LogLevel": "TRANSFER"})
    shown = api.describe_task_execution(TaskExecutionArn=execution)
    assert shown["Status"] == "QUEUED" and shown["TaskMode"] == "BASIC"
    assert shown["Includes"] == rule("/a") and shown["Excludes"] == []
    assert shown["Options"]["BytesPerSecond"] == 1024 and shown["Options"]["LogLevel"] == "OFF"
    assert all(shown[counter] == 0 for counter in COUNTERS)
    assert shown["Result"]["PrepareStatus"] == "PENDING" and "LaunchTime" not in shown
    shown = api.describe_task(TaskArn=task)
    assert shown["Status"] == "QUEUED" and shown["CurrentTaskExecutionArn"] == execution
    entry = {"TaskExecutionArn": execution, "Status": "QUEUED", "TaskMode": "BASIC"}
    assert api.list_task_executions(TaskArn=task)["TaskExecutions"] == [entry]
    assert entry in everything(api.list_task_executions)
    assert api.list_tags_for_resource(ResourceArn=execution)["Tags"]


def test_cancel_of_a_queued_execution(world, api, refused):
    task = world.task()
    execution = world.start(task)
    refused(api.delete_task, INVALID, "cancel it first", TaskArn=task)
    api.cancel_task_execution(TaskExecutionArn=execution)
    shown = api.describe_task_execution(TaskExecutionArn=execution)
    assert shown["Status"] == "ERROR" and shown["Result"]["ErrorCode"] == "Cancelled"
    assert shown["EndTime"] >= shown["StartTime"]
    refused(api.cancel_task_execution, INVALID,
            "cannot be cancelled in its current status: ERROR", TaskExecutionArn=execution)
    refused(api.update_task_execution, INVALID, "has ended", TaskExecutionArn=execution,
            Options={"BytesPerSecond": 1})
    api.delete_task(TaskArn=task)
    refused(api.describe_task_execution, INVALID, f"Task execution {execution} is not found.",
            TaskExecutionArn=execution)


def test_only_the_rate_can_be_changed(world, api, refused):
    execution = world.start(world.task())
    for rate in (65536, -1):
        api.update_task_execution(TaskExecutionArn=execution, Options={"BytesPerSecond": rate})
        shown = api.describe_task_execution(TaskExecutionArn=execution)
        assert shown["Options"]["BytesPerSecond"] == rate
    refused(api.update_task_execution, INVALID, "Value: 0", TaskExecutionArn=execution,
            Options={"BytesPerSecond": 0})
    refused(api.update_task_execution, INVALID, "Only BytesPerSecond", TaskExecutionArn=execution,
            Options={"BytesPerSecond": 1, "VerifyMode": "NONE"})


def test_queueing(world, api, refused):
    task = world.task()
    world.start(task)
    refused(world.start, INVALID, "with the same filters", task=task)
    refused(world.start, INVALID, "TaskQueueing is DISABLED", task=task,
            OverrideOptions={"TaskQueueing": "DISABLED"}, Includes=rule("/b"))
    world.start(task, Includes=rule("/b"))


def test_a_finished_execution(control, world, api):
    execution = world.start(world.task(Options={"PreserveDeletedFiles": "REMOVE"}))

    def finish(record):
        counters = {"discovered": 9, "to_transfer": 5, "bytes_to_transfer": 50, "transferred": 4,
                    "bytes_written": 40, "bytes_transferred": 44, "failed": 1, "verified": 4,
                    "to_delete": 2, "deleted": 2}
        result = {"prepare_status": "SUCCESS", "prepare_duration_ms": 1,
                  "transfer_status": "ERROR", "transfer_duration_ms": 2,
                  "verify_status": "SUCCESS", "verify_duration_ms": 3, "total_duration_ms": 6,
                  "failure": {"code": "ItemsFailed", "detail": "one"}}
        record.update(status="ERROR", launched_at_ms=record["requested_at_ms"] + 5,
                      ended_at_ms=record["requested_at_ms"] + 11,
                      report={"execution": execution, "status": "ERROR", "counters": counters,
                              "result": result})

    control.edit("execution", execution, finish)
    shown = api.describe_task_execution(TaskExecutionArn=execution)
    assert [shown[counter] for counter in COUNTERS] == [7, 50, 4, 40, 44, 44, 2, 1, 4, 2]
    assert shown["Result"] == {
        "PrepareDuration": 1, "PrepareStatus": "SUCCESS", "TransferDuration": 2,
        "TransferStatus": "ERROR", "VerifyDuration": 3, "VerifyStatus": "SUCCESS",
        "TotalDuration": 6, "ErrorCode": "ItemsFailed", "ErrorDetail": "one"}
    assert shown["StartTime"] < shown["LaunchTime"] < shown["EndTime"]


def test_a_task_with_many_executions_is_deleted_at_once(world, api, refused):
    task = world.task()
    made = []
    # More than one commit deletes.
    for _ in range(205):
        made.append(world.start(task))
        api.cancel_task_execution(TaskExecutionArn=made[-1])
    api.delete_task(TaskArn=task)
    listed = {entry["TaskExecutionArn"] for entry in everything(api.list_task_executions)}
    assert not listed & set(made)
    for execution in made:
        refused(api.describe_task_execution, INVALID, "is not found", TaskExecutionArn=execution)
    refused(api.list_task_executions, INVALID, "is not found", TaskArn=task)
