import concurrent.futures

import pytest
from botocore.exceptions import ClientError

INVALID = "InvalidRequestException"
ABSENT = "arn:aws:datasync:us-east-1:123456789012:agent/agent-00000000000000000"


def test_life_of_an_agent(world, api, refused):
    arn = world.agent(AgentName="first", Tags=[{"Key": "k", "Value": "v"}])
    shown = api.describe_agent(AgentArn=arn)
    assert (shown["Name"], shown["Status"], shown["EndpointType"]) == ("first", "OFFLINE", "PUBLIC")
    api.update_agent(AgentArn=arn, Name="second")
    assert api.describe_agent(AgentArn=arn)["Name"] == "second"
    api.update_agent(AgentArn=arn)
    assert api.describe_agent(AgentArn=arn)["Name"] == "second"
    assert api.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
    location = world.nfs(agent=arn)
    refused(api.delete_agent, INVALID, f"in-use by these location(s): {location}", AgentArn=arn)
    api.delete_location(LocationArn=location)
    api.delete_agent(AgentArn=arn)
    for method in (api.describe_agent, api.update_agent, api.delete_agent):
        refused(method, INVALID, "does not exist", AgentArn=arn)


def test_an_agent_that_its_locations_gave_up_can_be_deleted(world, api, refused):
    first, second = world.agent(), world.agent()
    nfs = world.nfs(agent=first)
    store = world.store(AgentArns=[first, second])
    refused(api.delete_agent, INVALID, nfs, AgentArn=first)
    refused(api.delete_agent, INVALID, store, AgentArn=first)
    api.update_location_nfs(LocationArn=nfs, OnPremConfig={"AgentArns": [second]})
    error = refused(api.delete_agent, INVALID, store, AgentArn=first)
    assert nfs not in error["Error"]["Message"]
    api.update_location_object_storage(LocationArn=store, AgentArns=[second])
    api.delete_agent(AgentArn=first)
    refused(api.delete_agent, INVALID, nfs, AgentArn=second)
    api.delete_location(LocationArn=nfs)
    api.delete_location(LocationArn=store)
    api.delete_agent(AgentArn=second)


def test_a_key_is_consumed_once(control, api, refused):
    key = control.activation_key()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(control.client().create_agent, ActivationKey=key) for _ in range(8)]
    errors = [call.exception() for call in calls]
    assert errors.count(None) == 1
    assert all(isinstance(error, ClientError) for error in errors if error)
    refused(api.create_agent, INVALID, "activation key is invalid", ActivationKey=key)


def test_an_expired_key_is_refused(control, api, refused):
    import hashlib

    key = control.activation_key()
    identity = hashlib.sha256(key.encode()).hexdigest()
    control.edit("activation-key", identity, lambda record: record.update(expires_at_ms=1))
    refused(api.create_agent, INVALID, "expired", ActivationKey=key)


@pytest.mark.parametrize("members", [
    {"ActivationKey": "bad"},
    {"ActivationKey": "aaaaa-AAAAA-AAAAA-AAAAA-AAAAA"},
])
def test_malformed_keys_are_refused_and_not_repeated(api, refused, members):
    error = refused(api.create_agent, INVALID, "ActivationKey", **members)
    assert members["ActivationKey"] not in error["Error"]["Message"]


def test_names_and_arns_are_checked(api, refused, world):
    arn = world.agent()
    refused(api.update_agent, INVALID, "Name", AgentArn=arn, Name="a{b")
    refused(api.update_agent, INVALID, "at most 256 characters", AgentArn=arn, Name="a" * 257)
    refused(api.describe_agent, INVALID, "AgentArn", AgentArn="nonsense")
    refused(api.describe_agent, INVALID, "does not exist", AgentArn=ABSENT)
    foreign = ABSENT.replace("123456789012", "999999999999")
    refused(api.describe_agent, INVALID, "ARN account (999999999999) must match", AgentArn=foreign)
    elsewhere = ABSENT.replace("us-east-1", "eu-west-1")
    refused(api.describe_agent, INVALID, "another region", AgentArn=elsewhere)


def test_vpc_endpoints_are_refused(control, api, refused):
    refused(
        api.create_agent, INVALID, "VPC endpoints", ActivationKey=control.activation_key(),
        VpcEndpointId="vpce-0123456789abcdef0",
    )


def test_pages(control, world, api, refused):
    made = {world.agent() for _ in range(5)}
    listed, token = [], {}
    while True:
        page = api.list_agents(MaxResults=2, **token)
        assert len(page["Agents"]) <= 2
        listed += [agent["AgentArn"] for agent in page["Agents"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert made <= set(listed) and len(listed) == len(set(listed)) and listed == sorted(listed)
    pages = control.client().get_paginator("list_agents").paginate(PaginationConfig={"PageSize": 3})
    assert [a["AgentArn"] for page in pages for a in page["Agents"]] == listed
    assert len(api.list_agents(MaxResults=0)["Agents"]) == min(len(listed), 100)
    refused(api.list_agents, INVALID, "MaxResults", MaxResults=101)
    for token in ("!", "AA", "____", "A" * 70000):
        refused(api.list_agents, INVALID, "NextToken", NextToken=token)
