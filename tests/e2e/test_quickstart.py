"""The README's first command, as somebody who has never seen the project types it."""

import os
import re
import shlex
import signal

import pytest
from world import tree
from world.expected import Snapshot
from world.process import Daemon, binary, run
from world.secrets import leaks

COUNTS = re.compile(r"^(\S+): (\d+) items transferred", re.M)
COMMANDS = 5


class Quickstart:
    """The program with a directory for temporary files of its own."""

    def __init__(self, name, directory, logs):
        self.name = name
        self.logs = logs
        self.temporary = directory / f"{name}-tmp"
        self.temporary.mkdir()

    def environment(self, **more):
        kept = {name: os.environ[name] for name in ("PATH", "LC_ALL") if name in os.environ}
        home = {"HOME": str(self.temporary.parent), "TMPDIR": str(self.temporary)}
        return kept | home | {"AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1"} | more

    def once(self, *arguments, **variables):
        """Runs it to its end; answers what it printed and the counts of its two executions."""
        command = [binary("quickstart"), "--once", *arguments]
        answer = run(command, timeout=120, env=self.environment(**variables))
        assert answer.returncode == 0, answer
        assert list(self.temporary.iterdir()) == []
        counts = [(status, int(moved)) for status, moved in COUNTS.findall(answer.stdout)]
        return answer, counts

    def daemon(self, label, *arguments):
        command = [binary("quickstart"), *arguments]
        log = self.logs / f"{self.name}-{label}.log"
        return Daemon(f"quickstart {label}", command, log, env=self.environment())

    def shell(self, *lines):
        """What a shell prints that is given these lines."""
        answer = run(["bash", "-euc", "\n".join(lines)], env=self.environment())
        assert answer.returncode == 0, f"{lines}: {answer.stderr}{answer.stdout}"
        return answer.stdout


@pytest.fixture
def quickstart(request, tmp_path, module_logs):
    name = re.sub(r"\W+", "-", request.node.name)
    return Quickstart(name, tmp_path, module_logs)


def interrupted(server, number=signal.SIGINT):
    """Ends it by Ctrl-C, or by another signal."""
    server.signal(number)
    return server.wait_for_end(20)


def printed(server, start):
    return [line for line in server.output().splitlines() if line.startswith(start)]


def test_it_copies_its_sample_tree_and_then_nothing(quickstart):
    _, counts = quickstart.once()
    assert [status for status, _ in counts] == ["SUCCESS", "SUCCESS"], counts
    assert counts[0][1] > 0 and counts[1][1] == 0, counts


def test_it_moves_real_data_between_real_servers(quickstart, nfs, store):
    source = os.fsencode(nfs.open / quickstart.name)
    tree.odd_names(tree.directory(source))
    tree.kinds(source + b"/kinds")
    snapshot = Snapshot(source, "into/")
    store.bucket("quickstart-real")
    answer, counts = quickstart.once(
        *("--source", f"nfs://{nfs.host}{os.fsdecode(source)}"),
        *("--destination", "s3://quickstart-real/into", "--endpoint-url", store.endpoint),
        AWS_ACCESS_KEY_ID=store.access_key,
        AWS_SECRET_ACCESS_KEY=store.secret_key,
    )
    assert counts == [("SUCCESS", len(snapshot.entries)), ("SUCCESS", 0)]
    snapshot.assert_at(store.client, "quickstart-real")
    assert store.secret_key not in answer.stdout + answer.stderr


def test_what_it_prints_works_while_it_is_up(quickstart, tmp_path):
    given = os.fsencode(tmp_path / "given")
    tree.neighbours(tree.directory(given))
    server = quickstart.daemon("itself", os.fsdecode(given)).start()
    try:
        server.wait_for_line("stays up", 120)
        counts = COUNTS.findall(server.output())
        assert counts == [("SUCCESS", str(len(Snapshot(given, "copy/").entries))), ("SUCCESS", "0")]
        exports = printed(server, "export ")
        commands = printed(server, "aws datasync ")
        assert len(commands) == COMMANDS, commands
        for command in commands:
            assert "Arn" in quickstart.shell(*exports, command)
        listing = printed(server, "AWS_ACCESS_KEY_ID=")[0]
        listed = quickstart.shell(listing).splitlines()
        assert len(listed) == int(counts[0][1]), listed
        one_more(quickstart, server, exports)
        assert interrupted(server) == 0
    finally:
        server.kill()
    assert list(quickstart.temporary.iterdir()) == []


def one_more(quickstart, server, exports):
    """Starts the further agent that it names and activates it with the lines which that prints."""
    words = shlex.split(printed(server, "cargo run ")[0])
    agent = quickstart.daemon("agent", *words[words.index("--") + 1 :]).start()
    try:
        agent.wait_for_line("^aws datasync create-agent", 30)
        lines = printed(agent, "KEY=") + printed(agent, "aws datasync create-agent")
        assert "AgentArn" in quickstart.shell(*exports, *lines)
        arn = agent.wait_for_line(r"^Activated: (\S+)$", 30).group(1)
        listed = quickstart.shell(*exports, "aws datasync list-agents --output text")
        assert re.search(rf"{re.escape(arn)}.*\bONLINE\b", listed), listed
        assert interrupted(agent) == 0
    finally:
        agent.kill()


def test_its_secrets_are_not_in_what_it_logs(quickstart, tmp_path):
    given = tree.directory(os.fsencode(tmp_path / "given"))
    tree.write(given + b"/file", b"content")
    server = quickstart.daemon("log", os.fsdecode(given))
    server.env = server.env | {"DATASYNC_LOG": "debug"}
    server.start()
    try:
        server.wait_for_line("stays up", 120)
        secret = printed(server, "export AWS_SECRET_ACCESS_KEY=")[0].partition("=")[2]
        assert server.output().count(secret) == 1, "printed once, for the shell"
        assert not leaks({"control": secret}, [quickstart.temporary]), "in its state"
        assert interrupted(server, signal.SIGTERM) == 0
    finally:
        server.kill()
    assert list(quickstart.temporary.iterdir()) == []


def test_a_session_token_is_refused_where_it_would_be_left_out(quickstart):
    key = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
    environment = quickstart.environment(**key, AWS_SESSION_TOKEN="canary-token")
    answer = run([binary("quickstart"), "--once", "--destination", "s3://b"], 120, environment)
    assert answer.returncode == 1, answer
    assert "AWS_SESSION_TOKEN" in answer.stderr and "canary" not in answer.stderr, answer


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--once", "/no/such/directory"], "/no/such/directory"),
        (["agent", "/no/such/directory"], "is a quickstart running there?"),
        (["--once", "--source", "http://nas/x"], "nfs://"),
        (["--once", "--source", "nfs://127.0.0.1:2/x"], "127.0.0.1:2"),
        (["--once", "--destination", "s3://bucket"], "AWS_ACCESS_KEY_ID"),
    ],
)
def test_bad_arguments_are_explained(quickstart, arguments, said):
    answer = run([binary("quickstart"), *arguments], 120, quickstart.environment())
    assert answer.returncode not in (0, 101), answer
    assert said in answer.stderr, answer
