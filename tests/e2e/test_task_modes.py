"""What an execution counts in the task modes BASIC and ENHANCED."""

import os

import pytest
from world import tree
from world.expected import keys
from world.site import shown

KINDS = ["Files", "Folders"]
COUNTED = ["Transferred", "Verified", "Deleted", "Skipped"]
OPTIONS = {"VerifyMode": "ONLY_FILES_TRANSFERRED", "PreserveDeletedFiles": "REMOVE"}
DETAILED = {f"{kind}{count}" for kind in KINDS for count in ("Listed", "Failed", "Prepared")}


def grown(path):
    """Three folders, four files of which one cannot be read, one FIFO."""
    for directory in (b"/a", b"/a/b", b"/empty"):
        tree.directory(path + directory)
    for file in (b"/a/1", b"/a/2", b"/a/b/3"):
        tree.write(path + file, b"0123456789")
    tree.write(path + b"/secret", b"nobody may read this", mode=0o600)
    os.mkfifo(path + b"/fifo")


@pytest.fixture
def both(site):
    """The same tree, twice, and a task of each mode."""
    made = {}
    for mode in ("BASIC", "ENHANCED"):
        source, bucket = site.source(f"mode-{mode}", squashed=True), site.bucket(mode.lower())
        grown(source)
        made[mode] = source, site.task(source, bucket, options=OPTIONS, TaskMode=mode)
    return made


def run(site, both, status):
    return {mode: site.run(task, status=status) for mode, (_, task) in both.items()}


def check_both_agree(done):
    """BASIC counts files and folders together, ENHANCED apart."""
    basic, enhanced = done["BASIC"], done["ENHANCED"]
    assert not set(basic) & DETAILED and DETAILED <= set(enhanced)
    for count in ("Transferred", "Verified", "Deleted"):
        both = sum(enhanced[f"{kind}{count}"] for kind in KINDS)
        assert basic[f"Files{count}"] == both, (count, shown(basic), shown(enhanced))
    for name in ("BytesWritten", "EstimatedBytesToTransfer"):
        assert basic[name] == enhanced[name]
    deletes = sum(enhanced[f"Estimated{kind}ToDelete"] for kind in KINDS)
    assert basic["EstimatedFilesToDelete"] == deletes
    writes = sum(enhanced[f"Estimated{kind}ToTransfer"] for kind in KINDS)
    assert basic["EstimatedFilesToTransfer"] == writes + deletes
    phases = [f"{phase}Duration" for phase in ("Prepare", "Transfer", "Verify")]
    assert [enhanced["Result"][phase] for phase in phases] == [0, 0, 0]
    assert enhanced["Result"]["TotalDuration"] > 0
    # Phases overlap: what is found early is transferred while the rest is listed.
    assert all(basic["Result"][phase] <= basic["Result"]["TotalDuration"] + 2 for phase in phases)


def test_counters_of_both_modes(site, both):
    first = run(site, both, "ERROR")
    check_both_agree(first)
    enhanced = first["ENHANCED"]
    assert enhanced["FilesListed"] == {"AtSource": 5, "AtDestinationForDelete": 0}, shown(enhanced)
    assert enhanced["FoldersListed"] == {"AtSource": 3, "AtDestinationForDelete": 0}
    assert (enhanced["FilesTransferred"], enhanced["FoldersTransferred"]) == (3, 3)
    assert enhanced["FilesFailed"] == {"Prepare": 0, "Transfer": 1, "Verify": 0, "Delete": 0}
    assert set(enhanced["FoldersFailed"].values()) == {0}
    assert (enhanced["FilesSkipped"], enhanced["FoldersSkipped"]) == (1, 0)

    for source, _ in both.values():
        os.unlink(source + b"/secret")
        os.unlink(source + b"/a/1")
        os.rmdir(source + b"/empty")
        tree.write(source + b"/a/2", b"changed, and longer")
    second = run(site, both, "SUCCESS")
    check_both_agree(second)
    enhanced = second["ENHANCED"]
    assert enhanced["FilesListed"] == {"AtSource": 3, "AtDestinationForDelete": 1}, shown(enhanced)
    assert enhanced["FoldersListed"] == {"AtSource": 2, "AtDestinationForDelete": 1}
    assert (enhanced["FilesDeleted"], enhanced["FoldersDeleted"]) == (1, 1)
    assert (enhanced["FilesPrepared"], enhanced["FilesTransferred"]) == (1, 1)


def test_a_star_anywhere_in_an_include(site, store):
    source, bucket = site.source("star"), site.bucket("star")
    for directory in (b"/home/me/work", b"/home/you/deeper/work", b"/home/you/play"):
        tree.directory(source + directory)
        tree.write(source + directory + b"/file.txt", b"text")
        tree.write(source + directory + b"/file.tmp", b"text")
    options = {"VerifyMode": "POINT_IN_TIME_CONSISTENT", "PreserveDeletedFiles": "REMOVE"}
    task = site.task(source, bucket, options=options, Includes=[
        {"FilterType": "SIMPLE_PATTERN", "Value": "/home/*/work/*.txt|*/play/*.tmp"}])
    site.run(task)
    copied = [
        "home/me/work/file.txt", "home/you/deeper/work/file.txt", "home/you/play/file.tmp",
    ]
    assert keys(store.client, bucket) == copied
    # Deletes stay inside what is included.
    outside = ["home/me/work/gone.tmp", "home/you/gone.txt"]
    for key in [*outside, "home/me/work/gone.txt"]:
        store.client.put_object(Bucket=bucket, Key=key, Body=b"")
    os.unlink(source + b"/home/me/work/file.txt")
    assert site.run(task)["FilesDeleted"] == 2
    assert keys(store.client, bucket) == sorted([*copied[1:], *outside])
