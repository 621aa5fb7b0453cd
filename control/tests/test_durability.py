"""Every acknowledged call survives SIGKILL."""

import concurrent.futures

from conftest import Checked, World


def test_kill_between_acknowledged_calls(own_control):
    made = []
    for _ in range(5):
        world = World(own_control, Checked(own_control.client()))
        made.append((world.agent(), world.store(), world.task()))
        own_control.kill()
        own_control.start()
    api = Checked(own_control.client())
    for agent, location, task in made:
        api.describe_agent(AgentArn=agent)
        api.describe_location_object_storage(LocationArn=location)
        api.describe_task(TaskArn=task)


def test_kill_amid_many_writers(own_control):
    client = own_control.client(max_pool_connections=8)
    acknowledged = []

    def write(number):
        try:
            made = client.create_location_object_storage(
                ServerHostname=f"h{number}", BucketName="bucket")
        except Exception:
            return
        acknowledged.append(made["LocationArn"])
        if len(acknowledged) == 40:
            own_control.kill()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(200)))
    assert len(acknowledged) >= 40
    own_control.start()
    pages = own_control.client().get_paginator("list_locations").paginate()
    stored = {entry["LocationArn"] for page in pages for entry in page["Locations"]}
    assert set(acknowledged) <= stored
