"""CloudWatch Logs in a process of ours: checks signatures and the limits of PutLogEvents."""

import http.server
import json
import re
import threading
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

EVENTS_MAX = 10_000
BYTES_MAX = 1_048_576
DAY_MS = 24 * 60 * 60 * 1000
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/logs/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


class Refused(Exception):
    """An error of the API, by its code."""

    def __init__(self, code, message=""):
        super().__init__(message)
        self.code = code


class CloudWatch:
    """Groups that exist, streams by group and name, and the calls that were wrong."""

    def __init__(self, access_key, secret_key, groups):
        self.keys = Credentials(access_key, secret_key)
        self.groups = set(groups)
        self.streams = {}
        self.wrong, self.calls, self.throttled = [], [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status, answer = outer.answer(self.path, self.headers, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.1")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def messages(self, group, stream):
        return [event["message"] for event in self.streams.get((group, stream), [])]

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path, headers, body):
        operation = headers["x-amz-target"].removeprefix("Logs_20140328.")
        self.calls.append(operation)
        try:
            assert path == "/" and headers["content-type"] == "application/x-amz-json-1.1"
            self._authenticate(headers, body)
            call = {"PutLogEvents": self._put, "CreateLogStream": self._create}[operation]
            return 200, call(json.loads(body))
        except Refused as refused:
            return 400, {"__type": refused.code, "message": str(refused)}
        except Exception as error:
            self.wrong.append(f"{operation}: {error!r}")
            return 500, {}

    def _authenticate(self, headers, body):
        key, date, region, names, signature = AUTHORIZATION.fullmatch(
            headers["authorization"]
        ).groups()
        assert key == self.keys.access_key and headers["x-amz-date"].startswith(date)
        signed = {name: headers[name] for name in names.split(";") if name != "host"}
        assert {"content-type", "x-amz-date", "x-amz-target"} <= set(signed)
        url = f"http://{headers['host']}/"
        request = AWSRequest(method="POST", url=url, data=body, headers=signed)
        request.context["timestamp"] = headers["x-amz-date"]
        signer = SigV4Auth(self.keys, "logs", region)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        if signer.signature(text, request) != signature:
            raise Refused("InvalidSignatureException")

    def _group(self, asked):
        if asked["logGroupName"] not in self.groups:
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        return asked["logGroupName"], asked["logStreamName"]

    def _create(self, asked):
        name = self._group(asked)
        if name in self.streams:
            raise Refused("ResourceAlreadyExistsException")
        self.streams[name] = []
        return {}

    def _put(self, asked):
        name, events = self._group(asked), asked["logEvents"]
        if self.throttled:
            self.throttled -= 1
            raise Refused("ThrottlingException", "Rate exceeded")
        if name not in self.streams:
            raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")
        assert 1 <= len(events) <= EVENTS_MAX, len(events)
        assert sum(len(e["message"].encode()) + 26 for e in events) <= BYTES_MAX
        times, now = [event["timestamp"] for event in events], time.time() * 1000
        assert times == sorted(times) and times[-1] - times[0] < DAY_MS
        assert times[0] > now - 14 * DAY_MS and times[-1] < now + DAY_MS / 12
        self.streams[name] += events
        return {"nextSequenceToken": "unused"}
