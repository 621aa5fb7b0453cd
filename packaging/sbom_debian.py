"""What a Debian system is made of, as CycloneDX 1.5: every package that is installed.

    sbom_debian.py NAME VERSION < /var/lib/dpkg/status > NAME.cdx.json

The same packages give the same bytes. What the agent's own package holds is in the list of packaging/sbom.py.
"""

import json
import re
import sys


def paragraphs(status):
    """The fields of each package; lines that go on are left to the field before them."""
    for paragraph in status.split("\n\n"):
        fields = re.findall(r"^([A-Za-z-]+): *(.*(?:\n[ \t].*)*)", paragraph, re.M)
        if fields:
            yield dict(fields)


def installed(status):
    """Their fields, in the order of their names."""
    found = [fields for fields in paragraphs(status) if fields["Status"].split()[2] == "installed"]
    return sorted(found, key=lambda fields: (fields["Package"], fields["Architecture"]))


def reference(fields):
    # A package URL: `+` of a version is no space.
    version = fields["Version"].replace("%", "%25").replace("+", "%2B").replace(":", "%3A")
    return f"pkg:deb/debian/{fields['Package']}@{version}?arch={fields['Architecture']}"


def source(fields):
    """Name and version of the source that a package was built from."""
    named = re.match(r"(\S+)(?: \((.+)\))?$", fields.get("Source", fields["Package"]))
    return named.group(1), named.group(2) or fields["Version"]


def component(fields):
    name, version = source(fields)
    return {
        "type": "library",
        "bom-ref": reference(fields),
        "name": fields["Package"],
        "version": fields["Version"],
        "purl": reference(fields),
        "description": fields["Description"].split("\n")[0],
        "properties": [
            {"name": "debian:source", "value": name},
            {"name": "debian:source-version", "value": version},
        ],
    }


def document(status, name, version):
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "operating-system",
                "bom-ref": f"{name}@{version}",
                "name": name,
                "version": version,
            }
        },
        "components": [component(fields) for fields in installed(status)],
    }


def main(name, version):
    made = document(sys.stdin.read(), name, version)
    if not made["components"]:
        sys.exit("sbom_debian.py: no package is installed there: is that dpkg's status?")
    json.dump(made, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
