"""CRC64NVME in plain Python: botocore computes it only with its optional native part."""

import base64
import functools
import hashlib
import zlib

POLYNOMIAL = 0x9A6C9329AC4BC9B5  # 0xAD93D23594C93659, reflected
ALL = (1 << 64) - 1


@functools.cache
def table():
    rows = []
    for row in range(256):
        for _ in range(8):
            row = (row >> 1) ^ (POLYNOMIAL if row & 1 else 0)
        rows.append(row)
    return rows


def crc64nvme(data):
    rows, crc = table(), ALL
    for byte in data:
        crc = rows[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return base64.b64encode((crc ^ ALL).to_bytes(8, "big")).decode()


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def sha1(data):
    return base64.b64encode(hashlib.sha1(data).digest()).decode()


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


assert crc64nvme(b"123456789") == base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()
