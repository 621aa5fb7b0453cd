"""Who may do what, and whose resources these are."""

import json

import pytest

from conftest import Checked, World
from control_process import Control
from model_walk import example
from test_model import MODEL, OPERATIONS, Raw

INVALID = "InvalidRequestException"


def key_of(control, *arguments):
    return json.loads(control.command("access-key", "create", *arguments))


def entries(control):
    lines = control.command("access-key", "list").splitlines()
    return {entry["AccessKeyId"]: entry for entry in map(json.loads, lines)}


def test_keys_are_made_listed_disabled_and_deleted(control, refused):
    key = key_of(control, "--name", "terraform@ci")
    entry = entries(control)[key["AccessKeyId"]]
    assert (entry["Name"], entry["Access"], entry["Status"]) == ("terraform@ci", "Full", "Active")
    assert "SecretAccessKey" not in entry and entry["CreateDate"]
    client = control.client(key["AccessKeyId"], key["SecretAccessKey"])
    client.list_agents()
    control.command("access-key", "disable", key["AccessKeyId"])
    assert entries(control)[key["AccessKeyId"]]["Status"] == "Inactive"
    refused(client.list_agents, "UnrecognizedClientException", "invalid")
    control.command("access-key", "delete", key["AccessKeyId"])
    assert key["AccessKeyId"] not in entries(control)
    refused(client.list_agents, "UnrecognizedClientException", "invalid")


def test_a_name_is_one_of_iam(control):
    with pytest.raises(AssertionError, match="cannot be a key's name"):
        key_of(control, "--name", "a b")


def test_a_read_only_key_describes_and_lists_and_nothing_else(control, world, refused):
    key = key_of(control, "--name", "auditor", "--read-only")
    assert entries(control)[key["AccessKeyId"]]["Access"] == "ReadOnly"
    raw = Raw(control)
    raw.key = type(raw.key)(key["AccessKeyId"], key["SecretAccessKey"])
    for operation in OPERATIONS:
        members = example(MODEL.operation_model(operation).input_shape)
        status, answer = raw(operation, members)
        if operation.startswith(("Describe", "List")):
            assert answer.get("__type") in (None, INVALID), (operation, answer)
        else:
            assert (status, answer["__type"]) == (400, "AccessDeniedException"), operation
            assert answer["message"].startswith(
                "User: arn:aws:iam::123456789012:user/auditor is not authorized to perform: "
                f"datasync:{operation} ")
    agent = world.agent()
    client = control.client(key["AccessKeyId"], key["SecretAccessKey"])
    assert client.describe_agent(AgentArn=agent)["AgentArn"] == agent
    refused(client.delete_agent, "AccessDeniedException", "datasync:DeleteAgent", AgentArn=agent)
    assert client.describe_agent(AgentArn=agent)["AgentArn"] == agent


def foreign(arn, own, other):
    assert own in arn
    return arn.replace(own, other)


def calls(api, world):
    """An operation for each kind of ARN, with one of ours."""
    task = world.task()
    execution = world.start(task)
    return [
        (api.describe_agent, "AgentArn", world.agent()),
        (api.describe_location_nfs, "LocationArn", world.nfs()),
        (api.delete_location, "LocationArn", world.nfs()),
        (api.describe_task, "TaskArn", task),
        (api.list_task_executions, "TaskArn", task),
        (api.describe_task_execution, "TaskExecutionArn", execution),
        (api.cancel_task_execution, "TaskExecutionArn", execution),
        (api.list_tags_for_resource, "ResourceArn", task),
        (api.list_tags_for_resource, "ResourceArn", execution),
    ]


@pytest.mark.parametrize("account,region,partition", [
    ("123456789012", "us-east-1", "aws"),
    ("210987654321", "us-gov-west-1", "aws-us-gov"),
    ("000000000042", "cn-north-1", "aws-cn"),
])
def test_names_of_another_home_are_refused(tmp_path, refused, account, region, partition):
    control = Control(tmp_path, account=account, region=region, partition=partition)
    try:
        api = Checked(control.client(region=region))
        for method, member, arn in calls(api, World(control, api)):
            assert arn.startswith(f"arn:{partition}:datasync:{region}:{account}:")
            method(**{member: arn})
            error = refused(
                method, INVALID, "ARN account (999999999999) must match authenticated user.",
                **{member: foreign(arn, account, "999999999999")})
            assert error["errorCode"] == "InvalidParameter"
            refused(method, INVALID, "another region",
                    **{member: foreign(arn, region, "eu-north-1")})
            refused(method, INVALID, "another region",
                    **{member: foreign(arn, f"arn:{partition}:", "arn:aws-iso:")})
    finally:
        control.stop()
