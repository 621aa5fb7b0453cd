"""What a whole run tells: its agent, its task and its execution."""

import json

from world import tree
from world.process import wait_until

LIFE = ["QUEUED", "LAUNCHING", "PREPARING", "TRANSFERRING", "VERIFYING", "SUCCESS"]


def states(site, arn):
    lines = (site.control.state / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [event["detail"]["State"] for event in events if event["resources"] == [arn]]


def test_a_run_and_its_agent_are_told_in_order(site):
    source = site.source("events")
    tree.write(source + b"/file", b"content")
    task = site.task(source, site.bucket("events"))
    execution = site.launch(task)
    site.wait_execution(execution)
    wait_until("the end is told", lambda: "SUCCESS" in states(site, execution), 60)
    told = states(site, execution)
    assert told[0] == "QUEUED" and told[-1] == "SUCCESS" and "LAUNCHING" in told
    assert told == [state for state in LIFE if state in told]
    wait_until("the task rests", lambda: states(site, task)[-1] == "AVAILABLE", 60)
    assert states(site, task)[:4] == ["CREATING", "AVAILABLE", "QUEUED", "RUNNING"]
    before = states(site, site.agent.arn)
    assert before[-1] == "ONLINE"
    assert site.agent.stop() == 0
    site.agent.start()
    site.agent.wait_online(site.datasync)

    def back():
        return states(site, site.agent.arn) == [*before, "OFFLINE", "ONLINE"]

    wait_until("the agent's way is told", back, 60)
