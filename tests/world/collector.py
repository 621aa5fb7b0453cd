"""A collector of metrics that speaks OTLP as OpenTelemetry's own messages have it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.metrics.v1 import (
    metrics_service_pb2 as service,
    metrics_service_pb2_grpc as service_grpc,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2


class Pushed:
    """What one push told."""

    def __init__(self, request, headers):
        [resource] = request.resource_metrics
        self.headers = headers
        self.resource = {a.key: a.value.string_value for a in resource.resource.attributes}
        self.metrics = [metric for scope in resource.scope_metrics for metric in scope.metrics]

    def types(self):
        """By name, in Prometheus's words, of all that have a value."""
        words = {"sum": "counter", "gauge": "gauge", "histogram": "histogram"}
        return {metric.name: words[metric.WhichOneof("data")] for metric in self.metrics}

    def values(self):
        """As the text format names them: `name{label="text"}`, buckets cumulative."""
        told = {}
        for metric in self.metrics:
            for point in getattr(metric, metric.WhichOneof("data")).data_points:
                labels = [(label.key, label.value.string_value) for label in point.attributes]
                if metric.WhichOneof("data") == "histogram":
                    told |= buckets(metric.name, labels, point)
                else:
                    told[named(metric.name, labels)] = float(getattr(point, point.WhichOneof("value")))
        return told

    def points(self, name):
        [metric] = [metric for metric in self.metrics if metric.name == name]
        return getattr(metric, metric.WhichOneof("data"))


def buckets(name, labels, point):
    told, below = {}, 0
    bounds = [f"{bound:g}" for bound in point.explicit_bounds] + ["+Inf"]
    for bound, count in zip(bounds, point.bucket_counts, strict=True):
        below += count
        told[named(f"{name}_bucket", [*labels, ("le", bound)])] = float(below)
    told[named(f"{name}_sum", labels)] = point.sum
    told[named(f"{name}_count", labels)] = float(point.count)
    return told


def named(name, labels):
    shown = ",".join(f'{key}="{text}"' for key, text in labels)
    return f"{name}{{{shown}}}" if shown else name


class Collector(service_grpc.MetricsServiceServicer):
    """Keeps the last push of each service; `refusing` makes it answer that it takes nothing."""

    CUMULATIVE = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE

    def __init__(self, port, credentials=None):
        self.port = port
        self.credentials = credentials
        self.refusing = False
        self.server = None
        self._lock = threading.Lock()
        self._last = {}

    def start(self):
        self.server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        service_grpc.add_MetricsServiceServicer_to_server(self, self.server)
        address = f"127.0.0.1:{self.port}"
        if self.credentials:
            bound = self.server.add_secure_port(address, self.credentials)
        else:
            bound = self.server.add_insecure_port(address)
        assert bound == self.port
        self.server.start()
        return self

    def stop(self):
        self.server.stop(0).wait(10)

    def Export(self, request, context):
        if self.refusing:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no such token")
        headers = dict(context.invocation_metadata())
        pushed = Pushed(request, headers)
        with self._lock:
            self._last[pushed.resource["service.name"]] = pushed
        return service.ExportMetricsServiceResponse()

    def last(self, name):
        """The last push of `name`, or None."""
        with self._lock:
            return self._last.get(name)

    def forget(self):
        with self._lock:
            self._last.clear()
