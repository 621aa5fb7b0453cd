"""The tag that carries a weekly timetable of bandwidth limits."""

import json

import pytest
from test_tasks import rule

INVALID = "InvalidRequestException"
TAG = "datasync:bandwidth-timetable"


def timetable(value):
    return [{"Key": TAG, "Value": value}]


def limit(api, execution):
    shown = api.describe_task_execution(TaskExecutionArn=execution)
    return shown["Options"]["BytesPerSecond"]


@pytest.mark.parametrize("value,text", [
    ("", "it begins with \"\", which is no time zone of the IANA database"),
    ("Mars/Olympus Mon 1MiB", "it begins with \"Mars/Olympus\", which is no time zone"),
    ("UTC Mon 1MiB / Mo-Fr 8MiB", "entry 2 \"Mo-Fr 8MiB\": the days are \"Mo-Fr\": use Mon, Tue"),
    ("UTC 8-18 1MiB", "entry 1 \"8-18 1MiB\": the times are \"8-18\": write them as 08:00-18:00"),
    ("UTC Mon 0", "entry 1 \"Mon 0\": the limit is \"0\": write bytes per second, more than 0"),
    ("UTC Mon 1 MiB fast", "entry 1 \"Mon 1 MiB fast\": it must be days, times and a limit"),
    ("UTC 1MiB / Sun 2MiB", "entry 1 \"1MiB\" and entry 2 \"Sun 2MiB\" overlap on Sun at 00:00"),
])
def test_what_cannot_be_read_is_refused(world, api, refused, value, text):
    text = f"Tag {TAG} is not allowed: {text}"
    refused(world.task, INVALID, text, Tags=timetable(value))
    task = world.task()
    refused(api.tag_resource, INVALID, text, ResourceArn=task, Tags=timetable(value))
    refused(world.start, INVALID, text, task=task, Tags=timetable(value))
    assert TAG not in json.dumps(api.list_tags_for_resource(ResourceArn=task)["Tags"])


def test_the_longest_value_that_a_tag_can_hold_is_read(world, api):
    entries = [f"Mon {hour:02}:00-{hour:02}:30 {hour + 1}MiB" for hour in range(9)]
    value = "America/Argentina/ComodRivadavia " + " / ".join(entries)
    assert 230 < len(value) <= 256
    tags = timetable(value)
    assert api.list_tags_for_resource(ResourceArn=world.task(Tags=tags))["Tags"] == tags


def test_the_limit_of_the_moment_is_shown_until_another_is_given(world, api):
    task = world.task(Options={"BytesPerSecond": 5}, Tags=timetable("Asia/Kathmandu 64KiB"))
    execution = world.start(task)
    assert limit(api, execution) == 65536
    assert api.describe_task(TaskArn=task)["Options"]["BytesPerSecond"] == 5
    for given in (7, -1):
        api.update_task_execution(TaskExecutionArn=execution, Options={"BytesPerSecond": given})
        assert limit(api, execution) == given
    api.cancel_task_execution(TaskExecutionArn=execution)
    assert limit(api, execution) == -1


def test_a_timetable_is_frozen_in_the_execution(world, api):
    task = world.task(Tags=timetable("UTC 1KiB"))
    first = world.start(task, Includes=rule("/a"))
    api.tag_resource(ResourceArn=task, Tags=timetable("UTC 2KiB"))
    second = world.start(task, Includes=rule("/b"), OverrideOptions={"BytesPerSecond": 9})
    third = world.start(task, Includes=rule("/c"), Tags=timetable("UTC unlimited"))
    api.untag_resource(ResourceArn=task, Keys=[TAG])
    fourth = world.start(task, Includes=rule("/d"), OverrideOptions={"BytesPerSecond": 9})
    shown = [limit(api, execution) for execution in (first, second, third, fourth)]
    assert shown == [1024, 2048, -1, 9]


def test_what_no_entry_covers_has_the_limit_of_the_option(control, world, api):
    """The execution ended on a Friday, on the minute: half an hour before, the entry counted."""
    execution = world.start(world.task(), OverrideOptions={"BytesPerSecond": 9},
                            Tags=timetable("Europe/Berlin Fri 08:00-18:00 1KiB"))
    friday_at_six_ms = 1_795_798_800_000

    def end_at(ms):
        control.edit("execution", execution, lambda record: record.update(
            status="SUCCESS", ended_at_ms=ms))
        return limit(api, execution)

    assert end_at(friday_at_six_ms) == 9
    assert end_at(friday_at_six_ms - 1) == 1024
