"""The reader of documents itself."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from blocks import blocks, unmarked  # noqa: E402


def test_blocks_are_found_with_their_marks(tmp_path):
    path = tmp_path / "a.md"
    path.write_text(
        "text\n```sh run\necho 1\n```\n"
        '- item\n  ```sh run until="ready, steady"\n  serve\n  ```\n'
        "```sh no-run\n# needs a NAS\nmount\n```\n"
        "```sh no-run\nmount\n```\n"
        "```sh\nls\n```\n```json\n{}\n```\n```bash\nls\n```\n```\ntext\n```\n"
    )
    found = blocks(path)
    assert [block.line for block in found] == [2, 6, 9, 13, 16, 19]
    assert [block.runs for block in found] == [True, True, False, False, False, False]
    assert found[1].until == "ready, steady"
    assert found[1].body == "serve\n"
    faults = [block.fault() for block in found]
    assert faults[:3] == [None, None, None]
    assert "says why" in faults[3]
    assert "sh run" in faults[4]
    assert unmarked(path) == [f"{path}:22"]


def test_configurations_name_their_program_and_terraform_says_why_it_is_not_run(tmp_path):
    path = tmp_path / "a.md"
    path.write_text(
        '```toml\n# agent.toml\ncontrol = "c"\n```\n```toml\n# control.toml\n```\n'
        '```toml\ncontrol = "c"\n```\n'
        "```hcl no-run\n# needs Terraform\n```\n```hcl no-run\nprovider {}\n```\n"
        "```hcl\n# needs Terraform\n```\n```hcl run\n# runs\n```\n```terraform no-run\n```\n"
    )
    found = blocks(path)
    programs = [block.program for block in found]
    assert programs == ["datasync-agent", "datasync-control", *[None] * 5]
    assert not any(block.runs for block in found)
    faults = [block.fault() for block in found]
    assert [bool(fault) for fault in faults] == [False, False, True, False, True, True, True]
    assert "agent.toml" in faults[2]
    assert "says why" in faults[4]
    assert "hcl no-run" in faults[5] and "hcl no-run" in faults[6]
    assert unmarked(path) == [f"{path}:{path.read_text().count(chr(10)) - 1}"]


def test_what_is_read_by_programs_is_parsed_here(tmp_path):
    path = tmp_path / "a.md"
    path.write_text(
        "```yaml\n#cloud-config\na: [1]\n```\n```yaml\na: [1\n```\n```yaml\n# nothing\n```\n"
        '```json\n{"a": 1}\n```\n```json\n{"a": 1,}\n```\n'
        "```powershell no-run\n# needs Windows\nNew-VM\n```\n```powershell\nNew-VM\n```\n"
        "```yml\na: 1\n```\n"
    )
    found = blocks(path)
    faults = [block.fault() for block in found]
    assert [bool(fault) for fault in faults] == [False, True, True, False, True, False, True]
    assert "not yaml" in faults[1] and "not json" in faults[4] and "powershell no-run" in faults[6]
    assert [block.is_seed for block in found] == [True, *[False] * 6]
    assert len(unmarked(path)) == 1
