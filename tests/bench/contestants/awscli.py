"""`aws s3 sync`, tuned: 16 MB parts, 32 requests at a time, payloads unsigned."""

from world.process import run

from .peer import Peer, endpoint, environment

CONFIG = """[default]
s3 =
  addressing_style = path
  max_concurrent_requests = 32
  multipart_chunksize = 16MB
  payload_signing_enabled = false
"""


# Without its checksums nothing protects the bytes over plain HTTP.
UNCHECKED = "aws s3 sync (nothing checked)"


def aws_sync(sink, scratch, tls=False, checked=True):
    config = scratch / "aws.config"
    config.write_text(CONFIG)

    def command(root, bucket):
        common = ["aws", "s3", "sync", root, f"s3://{bucket}"]
        return [*common, "--endpoint-url", endpoint(sink, tls), "--only-show-errors"]

    env = environment(sink, tls) | {
        "AWS_CONFIG_FILE": str(config),
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported" if checked else "when_required",
    }
    return Peer("aws s3 sync" if checked else UNCHECKED, command, env)


def version():
    return run(["aws", "--version"]).stdout.split()[0].replace("/", " ")
