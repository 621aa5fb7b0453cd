"""Seeds for the appliance, as hypervisors bring them."""

from xml.sax.saxutils import quoteattr

from .process import Failed, run

ENVIRONMENT = """<?xml version="1.0" encoding="UTF-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"
  xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" oe:id="">
<PropertySection>
{properties}
</PropertySection>
</Environment>
"""


def _run(*command):
    answer = run(command)
    if answer.returncode != 0:
        raise Failed(f"{command[0]}: {answer.stderr}")


def ovf(path, properties):
    """A disc with the environment of OVF, as VMware's transport `iso` makes it."""
    folder = path.with_suffix(".files")
    folder.mkdir()
    written = "\n".join(
        f"<Property oe:key={quoteattr(key)} oe:value={quoteattr(value, {chr(10): '&#10;'})}/>"
        for key, value in properties.items()
    )
    (folder / "ovf-env.xml").write_text(ENVIRONMENT.format(properties=written))
    _run("xorriso", "-as", "mkisofs", "-quiet", "-V", "OVF ENV", "-r", "-o", path, folder)
    return path


def nocloud(path, **documents):
    """A disk labelled CIDATA, or a disc (`.iso`); documents by their names with `_` for `-`."""
    folder = path.with_suffix(".files")
    folder.mkdir()
    for name, content in documents.items():
        (folder / name.replace("_", "-")).write_text(content)
    files = sorted(folder.iterdir())
    if path.suffix == ".iso":
        _run("xorriso", "-as", "mkisofs", "-quiet", "-V", "cidata", "-r", "-o", path, *files)
        return path
    with open(path, "wb") as file:
        file.truncate(4 * 1024 * 1024)
    _run("mkfs.vfat", "-n", "CIDATA", path)
    _run("mcopy", "-i", path, *files, "::")
    return path
