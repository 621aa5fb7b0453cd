"""The Debian packages: built, installed into a root of their own, upgraded and removed."""

import gzip
import os
import re
import stat
from pathlib import Path

import pytest
from world.process import Failed, run

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "packaging" / "systemd"
PROGRAMS = ("agent", "control")


def must(command, **more):
    answer = run(command, **more)
    if answer.returncode != 0:
        raise Failed(f"{command}: {answer.returncode}: {answer.stdout}{answer.stderr}")
    return answer.stdout


def build(output, manual):
    command = [
        ROOT / "packaging/deb/build", "--binaries", os.environ["DATASYNC_STATIC"],
        "--manual", manual,
    ]
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    printed = must([*command, "--output", output], timeout=900, env=environment)
    return dict(zip(PROGRAMS, map(Path, printed.split()), strict=True))


def pages(manual, name):
    return list((manual / "man/man1").glob(f"{name}*.1"))


@pytest.fixture(scope="module")
def packages(manual, tmp_path_factory):
    return build(tmp_path_factory.mktemp("packages"), manual)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root with nothing in it but what dpkg needs."""
    made = tmp_path_factory.mktemp("root")
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc", "run"):
        (made / folder).mkdir(parents=True)
    (made / "var/lib/dpkg/status").touch()
    return made


def dpkg(root, *arguments):
    force = ["--force-depends", "--force-script-chrootless", "--force-not-root"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return must(["dpkg", f"--root={root}", *force, *arguments], env=environment)


def test_two_packings_are_the_same_bytes(packages, manual, tmp_path):
    for program, path in build(tmp_path, manual).items():
        assert path.read_bytes() == packages[program].read_bytes()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_package_says_what_it_is_and_holds_what_it_should(packages, manual, program):
    name = f"datasync-{program}"
    fields = must(["dpkg-deb", "--field", packages[program]])
    assert f"Package: {name}\n" in fields and "Architecture: amd64" in fields
    # The program is static.
    assert "Depends: ca-certificates, systemd (>= 247)" in fields
    listed = must(["dpkg-deb", "--contents", packages[program]]).splitlines()
    assert all(re.search(r"\broot/root\b", line) for line in listed), listed
    files = {line.split()[5] for line in listed if not line.startswith("d")}
    assert files == {
        f"./usr/bin/{name}",
        f"./usr/lib/systemd/system/{name}.service",
        f"./usr/lib/sysusers.d/{name}.conf",
        f"./etc/datasync/{program}.toml",
        f"./usr/share/doc/{name}/copyright",
        f"./usr/share/doc/{name}/changelog.gz",
        f"./usr/share/bash-completion/completions/{name}",
        f"./usr/share/zsh/vendor-completions/_{name}",
        f"./usr/share/fish/vendor_completions.d/{name}.fish",
        *(f"./usr/share/man/man1/{page.name}.gz" for page in pages(manual, name)),
    }
    # One for each subcommand, too.
    assert len(pages(manual, name)) > 5


def test_1_both_are_installed(packages, root):
    dpkg(root, "-i", *packages.values())
    for program in PROGRAMS:
        name = f"datasync-{program}"
        assert must([root / "usr/bin" / name, "--version"]).startswith(name)
        users = (root / "etc/passwd").read_text()
        assert (user := re.search(rf"^{name}:[^:]*:(\d+):(\d+):", users, re.M)), users
        found = (root / "etc/datasync" / f"{program}.toml").stat()
        assert (found.st_uid, found.st_gid) == (0, int(user.group(2)))
        assert stat.S_IMODE(found.st_mode) == 0o640
        assert not must(["dpkg", f"--root={root}", "--verify", name])


def test_1_the_manual_is_of_this_program(packages, root):
    for program in PROGRAMS:
        page = root / f"usr/share/man/man1/datasync-{program}.1.gz"
        assert f"datasync\\-{program}" in gzip.decompress(page.read_bytes()).decode()
        completions = root / f"usr/share/bash-completion/completions/datasync-{program}"
        must(["bash", "-n", completions])


def test_2_an_upgrade_keeps_what_was_configured(packages, root):
    file = root / "etc/datasync/agent.toml"
    file.write_text('control = "control.internal:9443"\n')
    dpkg(root, "--force-confdef", "--force-confold", "-i", packages["agent"])
    assert "control.internal" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_3_a_purge_leaves_the_state_and_nothing_else(packages, root):
    state = root / "var/lib/datasync-agent/identity"
    state.mkdir(parents=True)
    said = dpkg(root, "--purge", *(f"datasync-{program}" for program in PROGRAMS))
    assert "/var/lib/datasync-agent is left as it is" in said
    assert state.is_dir()
    assert not (root / "etc/datasync").exists()
    assert not list(root.rglob("datasync-*.service"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_unit_is_understood(program, tmp_path):
    unit = tmp_path / f"datasync-{program}.service"
    text = (UNITS / unit.name).read_text()
    # Its program is not on this machine.
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text))
    answer = run(["systemd-analyze", "verify", "--man=no", unit])
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", ""), answer


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_unit_is_as_closed_as_the_documentation_says(program):
    unit = UNITS / f"datasync-{program}.service"
    printed = must(["systemd-analyze", "security", "--offline=true", "--no-pager", unit])
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", printed).group(1)
    assert float(score) < 2
    text = (ROOT / "docs/deploy/debian.md").read_text()
    words = {"agent": r"the agent's (\S+) and", "control": r"control's (\S+) of 10"}[program]
    assert re.search(words, " ".join(text.split())).group(1) == score
