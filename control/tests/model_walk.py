"""Inputs for every operation of botocore's model: minimal, full, and broken in one place."""

import base64
import copy
import re

from control_process import ACCOUNT, REGION, ROLE

OWN = f"arn:aws:datasync:{REGION}:{ACCOUNT}:"
AGENT = f"{OWN}agent/agent-{'0' * 17}"
LOCATION = f"{OWN}location/loc-{'0' * 17}"
TASK = f"{OWN}task/task-{'0' * 17}"
EXECUTION = f"{TASK}/execution/exec-{'0' * 17}"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:s"
EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
FSX = f"arn:aws:fsx:{REGION}:{ACCOUNT}:"
EFS = f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:"
PEM = """-----BEGIN CERTIFICATE-----
MIIBfDCCASKgAwIBAgIUPkAnvAa1sGyUQHYuPE7jbkAxq9kwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
"""

# A value of each shape that has no enumeration, good for every operation with that shape.
EXAMPLES = {
    "ActivationKey": "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE",
    "AgentArn": AGENT,
    "AzureBlobContainerUrl": "https://account.blob.core.windows.net/container",
    "AzureBlobSasToken": "sv=token",
    "AzureBlobSubdirectory": "/a/b",
    "AzureGuidString": "01234567-89ab-cdef-0123-456789abcdef",
    "BytesPerSecond": 1_048_576,
    "Ec2SecurityGroupArn": f"{EC2}security-group/sg-0123456789abcdef0",
    "Ec2SubnetArn": f"{EC2}subnet/subnet-0123456789abcdef0",
    "EfsAccessPointArn": f"{EFS}access-point/fsap-0123456789abcdef0",
    "EfsFilesystemArn": f"{EFS}file-system/fs-0123456789abcdef0",
    "EfsSubdirectory": "/a/b",
    "FilterAttributeValue": "2019-12-15 17:15:20",
    "FilterValue": "/a/b",
    "FsxFilesystemArn": f"{FSX}file-system/fs-0123456789abcdef0",
    "FsxLustreSubdirectory": "/a",
    "FsxOntapSubdirectory": "/a",
    "FsxOpenZfsSubdirectory": "/fsx",
    "FsxWindowsSubdirectory": "/a",
    "GoogleIdentityFederationResourceString": "pool-one",
    "HdfsBlockSize": 134_217_728,
    "HdfsReplicationFactor": 3,
    "HdfsServerHostname": "namenode.example",
    "HdfsServerPort": 8020,
    "HdfsSubdirectory": "/a",
    "HdfsUser": "hdfs",
    "IamRoleArn": ROLE,
    "IamRoleArnOrEmptyString": ROLE,
    "KerberosKeytabFile": base64.b64encode(b"keytab").decode(),
    "KerberosKrb5ConfFile": base64.b64encode(b"[libdefaults]").decode(),
    "KerberosPrincipal": "user@EXAMPLE",
    "KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k",
    "KmsKeyProviderUri": "kms://http@kms.example:9600/kms",
    "LocationArn": LOCATION,
    "LogGroupArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:group:*",
    "MaxResults": 1,
    "NextToken": base64.urlsafe_b64encode(b"0").decode().rstrip("="),
    "NfsSubdirectory": "/export",
    "ObjectStorageAccessKey": "id",
    "ObjectStorageBucketName": "bucket",
    "ObjectStorageCertificate": base64.b64encode(PEM.encode()).decode(),
    "ObjectStorageSecretKey": "secret",
    "ObjectStorageServerPort": 9000,
    "ProjectNameString": "project-one",
    "ProjectNumberString": "123",
    "S3BucketArn": "arn:aws:s3:::bucket",
    "S3ObjectVersionId": "v1",
    "S3Subdirectory": "a/b",
    "ScheduleExpressionCron": "cron(0 12 ? * SUN,WED *)",
    "SecretArn": SECRET,
    "ServerHostname": "server.example",
    "ServerIpAddress": "192.0.2.1",
    "SmbDomain": "example.com",
    "SmbPassword": "password",
    "SmbSubdirectory": "/share",
    "SmbUser": "user",
    "StorageVirtualMachineArn":
        f"{FSX}storage-virtual-machine/fs-0123456789abcdef0/svm-0123456789abcdef0",
    "TagKey": "key",
    "TagValue": "name",
    "TaggableResourceArn": TASK,
    "TaskArn": TASK,
    "TaskExecutionArn": EXECUTION,
    "UpdateSmbDomain": "example.com",
    "UpdatedEfsAccessPointArn": f"{EFS}access-point/fsap-0123456789abcdef0",
    "UpdatedEfsIamRoleArn": ROLE,
    "VpcEndpointId": "vpce-0123456789abcdef0",
}
# Where the first word of an enumeration goes with few others.
WORDS = {
    "Atime": "BEST_EFFORT", "Mtime": "PRESERVE", "Uid": "INT_VALUE", "Gid": "INT_VALUE",
    "PosixPermissions": "PRESERVE", "EfsInTransitEncryption": "TLS1_2", "NfsVersion": "NFS3",
    "LocationFilterName": "CreationTime", "TaskFilterName": "CreationTime",
    "Operator": "GreaterThan",
}


def example(shape, full=True):
    """A value of the shape: with every member, or with the required ones."""
    if shape.type_name == "structure":
        return {
            name: example(member, full) for name, member in shape.members.items()
            if full or name in shape.required_members
        }
    if shape.type_name == "list":
        return [example(shape.member, full)]
    if getattr(shape, "enum", None):
        return WORDS.get(shape.name, shape.enum[0])
    return EXAMPLES[shape.name]


def places(shape, path=()):
    """Every value below the shape: its path, its shape, whether it must be there."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield (*path, name), member, name in shape.required_members
            yield from places(member, (*path, name))
    elif shape.type_name == "list":
        yield (*path, 0), shape.member, False
        yield from places(shape.member, (*path, 0))


def changed(value, path, change):
    """A copy of the value with `change` applied to the container of the last step."""
    copied = copy.deepcopy(value)
    container = copied
    for step in path[:-1]:
        container = container[step]
    change(container, path[-1])
    return copied


WRONG_TYPES = {
    "string": [7, [], {}, True], "integer": ["7", 1.5, []], "long": ["7", 1.5, 10**30],
    "list": [{}, "x"], "structure": [[], "x"], "blob": [7, "!"],
}
ODD = ["\0", "\n", "{*}", "\u20ac", "***", ":", "a b", "|", ""]


def python_pattern(pattern):
    return pattern.replace(r"\p{Zs}", " \u00a0").replace(r"\z", r"\Z")


def breakages(shape):
    """Values that the shape refuses: whether the type is wrong, and the value."""
    for wrong in WRONG_TYPES[shape.type_name]:
        yield True, wrong
    limits = shape.metadata
    least, most = limits.get("min"), limits.get("max")
    if shape.type_name in ("integer", "long"):
        if least is not None:
            yield False, least - 1
        if most is not None:
            yield False, most + 1
    elif shape.type_name == "blob":
        yield False, base64.b64encode(b"x" * (most + 1)).decode()
    elif shape.type_name == "list":
        one = example(shape.member)
        if least:
            yield False, [one] * (least - 1)
        if most is not None:
            yield False, [one] * (most + 1)
    elif shape.type_name == "string":
        if getattr(shape, "enum", None):
            yield False, "NO_SUCH_WORD"
            yield False, shape.enum[0].lower()
        if least:
            yield False, "a" * (least - 1)
        if most is not None:
            yield False, "a" * (most + 1)
        pattern = limits.get("pattern")
        if pattern and r"\p{L}" not in pattern:
            for odd in ODD:
                # The model wants a character in names that it allows to be empty.
                if odd == "" and least == 0:
                    continue
                if not re.search(python_pattern(pattern), odd) and len(odd) >= (least or 0):
                    yield False, odd


def extremes(shape):
    """Values at the edge of what the shape allows, and every word of an enumeration."""
    limits = shape.metadata
    least, most = limits.get("min"), limits.get("max")
    if shape.type_name in ("integer", "long"):
        yield from (limit for limit in (least, most) if limit is not None)
    elif shape.type_name == "blob":
        yield base64.b64encode(b"x" * most).decode()
    elif shape.type_name == "list" and most is not None:
        yield [example(shape.member)] * most
    elif shape.type_name == "string" and getattr(shape, "enum", None):
        yield from shape.enum
    elif shape.type_name == "string":
        pattern = python_pattern(limits.get("pattern", ""))
        if r"\p{L}" in pattern:
            pattern = ""
        for length in (least, most):
            if length is not None and re.search(pattern, "a" * length):
                yield "a" * length


def allowed(shape):
    """Full inputs with an extreme in one place: its path, the input."""
    whole = example(shape)
    for path, member, _ in places(shape):
        for value in extremes(member):
            yield path, changed(
                whole, path, lambda container, step, value=value: container.__setitem__(step, value))


def broken(shape):
    """Full inputs that are wrong in one place: its path, whether by type, the input."""
    whole = example(shape)
    for path, member, is_required in places(shape):
        if is_required:
            yield path, False, changed(whole, path, lambda container, step: container.pop(step))
            yield path, False, changed(
                whole, path, lambda container, step: container.__setitem__(step, None))
        for by_type, value in breakages(member):
            yield path, by_type, changed(
                whole, path, lambda container, step, value=value: container.__setitem__(step, value))


def misfits(shape, value, path=""):
    """What in an answer is not as the model says."""
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                yield f"{path}.{name} is missing"
        for name, member in value.items():
            if name not in shape.members:
                yield f"{path}.{name} is not in the model"
            else:
                yield from misfits(shape.members[name], member, f"{path}.{name}")
    elif shape.type_name == "list":
        if not isinstance(value, list):
            yield f"{path} is no list: {value!r}"
            return
        if not shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", 10**9):
            yield f"{path} has {len(value)} elements"
        for element in value:
            yield from misfits(shape.member, element, f"{path}[]")
    elif shape.type_name == "string":
        yield from text_misfits(shape, value, path)
    elif shape.type_name in ("integer", "long"):
        if not isinstance(value, int) or isinstance(value, bool):
            yield f"{path} is no whole number: {value!r}"
        elif not shape.metadata.get("min", -2**63) <= value <= shape.metadata.get("max", 2**63):
            yield f"{path} is out of range: {value}"
    elif shape.type_name == "timestamp":
        if not isinstance(value, (int, float)) or not 1.5e9 < value < 1e11:
            yield f"{path} is no time in seconds: {value!r}"
    elif shape.type_name == "blob":
        if len(base64.b64decode(value, validate=True)) > shape.metadata["max"]:
            yield f"{path} is too long"
    else:
        yield f"{path} is of an unknown type {shape.type_name}"


def text_misfits(shape, value, path):
    if not isinstance(value, str):
        yield f"{path} is no string: {value!r}"
        return
    if getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{path} is none of {shape.enum}: {value!r}"
    if not shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", 10**9):
        yield f"{path} has {len(value)} characters"
    pattern = shape.metadata.get("pattern")
    # The pattern of LocationUri has no object-storage://, and that of names no empty text.
    is_known = value.startswith("object-storage://") or (value == "" and shape.name == "TagValue")
    if pattern and not is_known and not re.search(python_pattern(pattern), value):
        yield f"{path} does not match {pattern}: {value!r}"
