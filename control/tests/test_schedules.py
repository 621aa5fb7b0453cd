"""Schedules as clients set and see them, and a task that starts by itself."""

import datetime
import time

HOURLY = {"ScheduleExpression": "rate(1 hour)"}


def shown(api, task):
    task = api.describe_task(TaskArn=task)
    return task.get("Schedule"), task.get("ScheduleDetails")


def test_a_schedule_is_enabled_unless_said_otherwise(world, api):
    task = world.task(Schedule={"ScheduleExpression": "cron(0 12 ? * SUN,WED *)"})
    schedule, details = shown(api, task)
    assert schedule == {"ScheduleExpression": "cron(0 12 ? * SUN,WED *)", "Status": "ENABLED"}
    assert set(details) == {"StatusUpdateTime"}
    age = datetime.datetime.now(datetime.UTC) - details["StatusUpdateTime"]
    assert abs(age) < datetime.timedelta(minutes=5)


def test_a_schedule_is_disabled_changed_and_cleared(world, api):
    task = world.task(Schedule=HOURLY | {"Status": "DISABLED"})
    schedule, details = shown(api, task)
    assert schedule["Status"] == "DISABLED"
    assert details["DisabledBy"] == "USER"
    assert details["DisabledReason"] == "Manually disabled by user."
    api.update_task(TaskArn=task, Schedule={"ScheduleExpression": "rate(2 days)"})
    assert shown(api, task)[0] == {"ScheduleExpression": "rate(2 days)", "Status": "DISABLED"}
    api.update_task(TaskArn=task, Schedule={"ScheduleExpression": "rate(2 days)", "Status": "ENABLED"})
    schedule, details = shown(api, task)
    assert schedule["Status"] == "ENABLED" and "DisabledBy" not in details
    api.update_task(TaskArn=task, Name="another")
    assert shown(api, task)[0] == schedule
    api.update_task(TaskArn=task, Schedule={"ScheduleExpression": ""})
    assert shown(api, task) == (None, None)


def test_a_task_starts_by_its_schedule_once_it_can(world, api, control):
    task = world.task(Schedule=HOURLY)

    def due(record):
        record["readiness"] = {"status": "AVAILABLE"}
        schedule = record["schedule"]
        schedule["planned_at_ms"] = schedule["due_at_ms"] = 1

    deadline = time.monotonic() + 60
    while not api.list_task_executions(TaskArn=task)["TaskExecutions"]:
        # The fleet may notice in between that there is no agent: then the start waits.
        control.edit("task", task, due)
        time.sleep(2)
        assert time.monotonic() < deadline, api.describe_task(TaskArn=task)
    executions = api.list_task_executions(TaskArn=task)["TaskExecutions"]
    assert [entry["Status"] for entry in executions] == ["QUEUED"]
    described = api.describe_task(TaskArn=task)
    assert described["CurrentTaskExecutionArn"] == executions[0]["TaskExecutionArn"]
