"""Pages, filters and tags."""

import base64
import datetime

import pytest

from conftest import Checked, World, everything

INVALID = "InvalidRequestException"
LISTS = {
    "list_agents": "Agents", "list_locations": "Locations", "list_tasks": "Tasks",
    "list_task_executions": "TaskExecutions",
}


def pages(method, size, **members):
    """Every page, as a client without paginators asks for them."""
    found, token = [], {}
    while True:
        page = method(MaxResults=size, **members, **token)
        entries = next(value for name, value in page.items() if name != "NextToken")
        found.append(entries)
        if "NextToken" not in page:
            return found
        assert page["NextToken"] and len(entries) == size
        token = {"NextToken": page["NextToken"]}


def filled(control):
    world = World(control, Checked(control.client()))
    for number in range(7):
        task = world.task(Name=f"n{number}")
        world.start(task)
    return world


def test_pages_of_every_list(control, world, refused):
    api = filled(control).api
    for method, member in LISTS.items():
        call = getattr(api, method)
        whole = everything(call)
        assert len(whole) >= 7
        identity = next(name for name in whole[0] if name.endswith("Arn"))
        # By id: the end of the ARN.
        whole = [entry[identity] for entry in whole]
        ids = [arn.rsplit("/", 1)[-1] for arn in whole]
        assert ids == sorted(set(ids))
        for size in (1, 2, 7, 99):
            assert [entry[identity] for page in pages(call, size) for entry in page] == whole
        paginator = control.client().get_paginator(method)
        found = paginator.paginate(PaginationConfig={"PageSize": 5})
        assert [entry[identity] for page in found for entry in page[member]] == whole
        assert [entry[identity] for entry in call(MaxResults=0)[member]] == whole[:100]
        refused(call, INVALID, "MaxResults", MaxResults=101)


def test_the_last_page_has_no_token_when_it_is_full(world, api):
    task = world.task(Tags=[{"Key": str(n)} for n in range(4)])
    found = pages(api.list_tags_for_resource, 2, ResourceArn=task)
    assert [len(page) for page in found] == [2, 2]


def test_a_token_survives_a_restart_and_what_comes_and_goes(own_control):
    api = filled(own_control).api
    whole = [entry["TaskArn"] for entry in api.list_tasks()["Tasks"]]
    first = api.list_tasks(MaxResults=3)
    api.delete_task(TaskArn=pages_last(api, first))
    own_control.kill()
    own_control.start()
    api = Checked(own_control.client())
    rest = api.list_tasks(NextToken=first["NextToken"])
    assert [entry["TaskArn"] for entry in rest["Tasks"]] == whole[3:]


def pages_last(api, page):
    """The task that the token names: it is gone when the token is used."""
    task = page["Tasks"][-1]["TaskArn"]
    execution = api.list_task_executions(TaskArn=task)["TaskExecutions"][0]["TaskExecutionArn"]
    api.cancel_task_execution(TaskExecutionArn=execution)
    return task


def test_a_token_of_another_list_or_of_nobody_does_no_harm(api, refused):
    for text in ("zzzz", "agent-0", "\u00e4", "' OR 1=1 --"):
        token = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        for method, member in LISTS.items():
            assert isinstance(getattr(api, method)(NextToken=token)[member], list)
    for token in ("A", "AA==", "gICA", "=", "a" * 65_536):
        for method in LISTS:
            refused(getattr(api, method), INVALID, "NextToken", NextToken=token)


def keep(operator, values, facts):
    """What the user guide says of an operator."""
    return {
        "Equals": any(fact in values for fact in facts),
        "In": any(fact in values for fact in facts),
        "NotEquals": not any(fact in values for fact in facts),
        "Contains": any(value in fact for value in values for fact in facts),
        "NotContains": not any(value in fact for value in values for fact in facts),
        "BeginsWith": any(fact.startswith(value) for value in values for fact in facts),
    }[operator]


TEXTS = ["Equals", "NotEquals", "In", "Contains", "NotContains", "BeginsWith"]
TIMES = ["LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual"]


@pytest.mark.parametrize("operator", TEXTS)
def test_operators_on_texts(world, api, operator):
    made = {
        world.nfs(ServerHostname="one.example"): ("nfs://one.example/export/", "NFS"),
        world.store(ServerHostname="one.example"): (
            "object-storage://one.example/bucket/", "OBJECT_STORAGE"),
        world.s3(Subdirectory="two"): ("s3://bucket/two/", "S3"),
        world.efs(): ("efs://us-east-1.fs-0123456789abcdef0/", "EFS"),
    }
    for position, name, values in [
        (0, "LocationUri", ["nfs://one.example/export/"]),
        (0, "LocationUri", ["one.example", "s3://"]),
        (0, "LocationUri", ["nfs://one.example/export/", "s3://bucket/two/"]),
        (1, "LocationType", ["NFS"]),
        (1, "LocationType", ["S3", "EFS"]),
        (1, "LocationType", ["FSX_LUSTRE"]),
    ]:
        filters = [{"Name": name, "Values": values, "Operator": operator}]
        found = {entry["LocationArn"] for entry in everything(api.list_locations, Filters=filters)}
        for arn, facts in made.items():
            assert (arn in found) == keep(operator, values, [facts[position]]), (arn, filters)


@pytest.mark.parametrize("operator", TEXTS)
def test_operators_on_the_locations_of_tasks(world, api, operator):
    source, destination, other = world.nfs(), world.s3(), world.nfs()
    made = {
        world.task(SourceLocationArn=source, DestinationLocationArn=destination):
            [source, destination],
        world.task(SourceLocationArn=other, DestinationLocationArn=destination):
            [other, destination],
        world.task(): [],
    }
    for values in ([source], [destination], [source, other], [source.split("/")[1]], ["arn:aws:"]):
        filters = [{"Name": "LocationId", "Values": values, "Operator": operator}]
        found = {entry["TaskArn"] for entry in everything(api.list_tasks, Filters=filters)}
        for arn, facts in made.items():
            if facts:
                assert (arn in found) == keep(operator, values, facts), (arn, filters)


@pytest.mark.parametrize("method,make", [("list_locations", "nfs"), ("list_tasks", "task")])
def test_operators_on_times(world, api, method, make):
    arn = getattr(world, make)()
    describe = {"nfs": lambda: api.describe_location_nfs(LocationArn=arn),
                "task": lambda: api.describe_task(TaskArn=arn)}[make]
    created = describe()["CreationTime"].astimezone(datetime.UTC).replace(microsecond=0)
    second = datetime.timedelta(seconds=1)

    def found(operator, *times, form="%Y-%m-%d %H:%M:%S"):
        filters = [{"Name": "CreationTime", "Operator": operator,
                    "Values": [time.strftime(form) for time in times]}]
        entries = everything(getattr(api, method), Filters=filters)
        return any(arn in entry.values() for entry in entries)

    before, after = created - second, created + second
    assert found("Equals", created) and found("Equals", before, created)
    assert found("Equals", created, form="%Y-%m-%dT%H:%M:%SZ")
    assert not found("Equals", before, after)
    assert found("NotEquals", before) and not found("NotEquals", created)
    assert found("LessThan", after) and not found("LessThan", created)
    assert found("LessThanOrEqual", created) and not found("LessThanOrEqual", before)
    assert found("GreaterThan", before) and not found("GreaterThan", created)
    assert found("GreaterThanOrEqual", created) and not found("GreaterThanOrEqual", after)


def test_operators_that_do_not_fit_are_refused(api, refused):
    for name, operators, value in [
        ("LocationUri", TIMES, "x"), ("LocationType", TIMES, "NFS"),
        ("CreationTime", ["In", "Contains", "NotContains", "BeginsWith"], "2019-12-15 17:15:20"),
    ]:
        for operator in operators:
            filters = [{"Name": name, "Values": [value], "Operator": operator}]
            refused(api.list_locations, INVALID, "operator", Filters=filters)
    for value in ("yesterday", "2019-13-01 00:00:00", "17"):
        filters = [{"Name": "CreationTime", "Values": [value], "Operator": "LessThan"}]
        refused(api.list_tasks, INVALID, "CreationTime", Filters=filters)
    filters = [{"Name": "LocationId", "Values": [], "Operator": "Equals"}]
    refused(api.list_tasks, INVALID, "0 value(s)", Filters=filters)


def test_filters_must_all_hold_and_go_with_pages(world, api):
    host = "pages.example"
    made = sorted(world.nfs(ServerHostname=host) for _ in range(5))
    world.store(ServerHostname=host)
    filters = [{"Name": "LocationUri", "Values": [host], "Operator": "Contains"},
               {"Name": "LocationType", "Values": ["NFS"], "Operator": "Equals"}]
    found = pages(api.list_locations, 2, Filters=filters)
    assert [entry["LocationArn"] for page in found for entry in page] == made
    assert [len(page) for page in found] == [2, 2, 1]


@pytest.mark.parametrize("kind", ["agent", "nfs", "task", "execution"])
def test_tags_of_every_resource(world, api, refused, kind):
    def make(**members):
        if kind == "execution":
            return world.start(world.task(), **members)
        return getattr(world, kind)(**members)

    longest = {"Key": "k" * 256, "Value": "v" * 256}
    fifty = [{"Key": f"key {n}", "Value": "+=._:@/-"} for n in range(49)] + [longest]
    arn = make(Tags=fifty)
    listed = api.list_tags_for_resource(ResourceArn=arn)["Tags"]
    assert listed == sorted(fifty, key=lambda tag: tag["Key"])
    api.tag_resource(ResourceArn=arn, Tags=[{"Key": "key 1", "Value": "changed"}])
    refused(api.tag_resource, INVALID, "at most 50", ResourceArn=arn, Tags=[{"Key": "one more"}])
    assert len(api.list_tags_for_resource(ResourceArn=arn)["Tags"]) == 50
    api.untag_resource(ResourceArn=arn, Keys=[tag["Key"] for tag in fifty])
    assert api.list_tags_for_resource(ResourceArn=arn)["Tags"] == []
    for wrong, text in [
        ([{"Key": "k" * 257}], "at most 256 characters"),
        ([{"Key": "k", "Value": "v" * 257}], "at most 256 characters"),
        ([{"Key": "a@b"}], "must match"),
        ([{"Key": "AWS:mine"}], "reserved"),
        ([{"Key": "same"}, {"Key": "same"}], "twice"),
        ([{"Key": str(n)} for n in range(51)], "0 to 50"),
    ]:
        refused(api.tag_resource, INVALID, text, ResourceArn=arn, Tags=wrong)
        refused(make, INVALID, text, Tags=wrong)
    refused(api.untag_resource, INVALID, "1 to 50", ResourceArn=arn,
            Keys=[str(n) for n in range(51)])
    absent = arn[:-17] + "0" * 17
    for method, members in [(api.tag_resource, {"Tags": [{"Key": "k"}]}),
                            (api.untag_resource, {"Keys": ["k"]}),
                            (api.list_tags_for_resource, {})]:
        refused(method, INVALID, "not", ResourceArn=absent, **members)
