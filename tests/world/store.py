"""Our own S3 store as a program, and clients for it."""

import boto3
from botocore.config import Config

from .process import Daemon, binary
from .secrets import remember

PORT = 9000
ACCESS_KEY = "AKIASTORETEST0000001"
# Searched for in every log and state directory.
SECRET_KEY = remember("the store", "canary+Secret/OfTheStore0123456789abcdEF")


def client(endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY):
    """boto3 as an S3-compatible store needs it."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=5,
            read_timeout=60,
            retries={"total_max_attempts": 1},
            max_pool_connections=8,
        ),
    )


class Store:
    """quickstart-store on a port of the world."""

    host = "127.0.0.1"
    access_key = ACCESS_KEY
    secret_key = SECRET_KEY

    def __init__(self, directory, logs, port=PORT, integrity="full"):
        self.port = port
        self.endpoint = f"http://{self.host}:{port}"
        arguments = [binary("quickstart-store"), "--root", directory]
        arguments += ["--listen", f"{self.host}:{self.port}"]
        arguments += ["--integrity", integrity]
        arguments += ["--access-key", f"{ACCESS_KEY}:{SECRET_KEY}"]
        name = "store" if port == PORT else f"store-{port}"
        self.server = Daemon(name, arguments, logs / f"{name}.log")
        self.client = client(self.endpoint)

    def start(self):
        self.server.start()
        self.server.wait_for_port(self.port)

    def bucket(self, name):
        self.client.create_bucket(Bucket=name)
        return name

    def stop(self):
        self.server.kill()
