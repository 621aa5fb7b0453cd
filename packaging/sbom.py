"""What a program is made of, as CycloneDX 1.5: every crate that `cargo` links into it.

    sbom.py PROGRAM TARGET > PROGRAM.cdx.json

Build scripts, macros and what only tests use are left out. The same lock file gives the same bytes.
"""

import json
import subprocess
import sys


def metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def is_macro(package):
    return any("proc-macro" in target["kind"] for target in package["targets"])


def linked(nodes, packages, root):
    """The ids of what is linked into `root`, itself included."""
    found, waiting = set(), [root]
    while waiting:
        one = waiting.pop()
        # What a macro needs runs in the compiler.
        if one in found or is_macro(packages[one]):
            continue
        found.add(one)
        for dependency in nodes[one]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return found


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, kind="library"):
    made = {
        "type": kind,
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package.get("license"):
        made["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if package.get("description"):
        made["description"] = " ".join(package["description"].split())
    return made


def document(data, program):
    packages = {package["id"]: package for package in data["packages"]}
    root = next(id for id, package in packages.items() if package["name"] == program)
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    found = linked(nodes, packages, root)
    libraries = sorted(found - {root}, key=lambda id: reference(packages[id]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(packages[root], "application")},
        "components": [component(packages[id]) for id in libraries],
        "dependencies": [
            {
                "ref": reference(packages[id]),
                "dependsOn": sorted(
                    reference(packages[dependency])
                    for dependency in nodes[id]["dependencies"]
                    if dependency in found
                ),
            }
            for id in [root, *libraries]
        ],
    }


def main(program, target):
    json.dump(document(metadata(target), program), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
