"""Sends known telemetry with the official OpenTelemetry SDK, half over gRPC and half over HTTP, and prints the truth.

usage: send.py GRPC_ADDRESS HTTP_URL    -> one JSON object on standard output
"""

import json
import logging
import random
import sys
import time

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

SPANS = 400
LOGS = 100
BOUNDS = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000]


def send_spans(service, exporter, seed):
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=10_000))
    tracer = provider.get_tracer("truth", "1.2.3")
    rng = random.Random(seed)
    sent = []
    now = time.time_ns()
    for i in range(SPANS):
        start = now - rng.randrange(5_000_000_000, 9_000_000_000)
        duration = int(rng.lognormvariate(16.5, 1.0)) + 1
        span = tracer.start_span(
            "GET /orders" if i % 2 else "POST /orders",
            kind=SpanKind.SERVER,
            start_time=start,
            attributes={
                "text": f"värde {i}",
                "whole": i - 50,
                "real": i / 7,
                "flag": i % 3 == 0,
                "list": ["a", str(i)],
            },
        )
        if i % 10 == 0:
            span.set_status(Status(StatusCode.ERROR, "out of stock"))
            span.add_event("exception", {"exception.type": "OutOfStock"}, timestamp=start + 1)
        span.end(end_time=start + duration)
        context = span.get_span_context()
        sent.append(
            {
                "trace_id": f"{context.trace_id:032x}",
                "span_id": f"{context.span_id:016x}",
                "name": span.name,
                "start": str(start),
                "duration": duration,
                "error": i % 10 == 0,
                "whole": i - 50,
                "real": i / 7,
            }
        )
    assert provider.force_flush(20_000), "spans were not acknowledged"
    provider.shutdown()
    return sent


def send_logs(service, exporter):
    provider = LoggerProvider(resource=Resource.create({"service.name": service}))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("truth")
    sent = []
    now = time.time_ns()
    for i in range(LOGS):
        body = f"order {i} of {service} was accepted, café ☕"
        logger.emit(
            timestamp=now + i,
            observed_timestamp=now + i,
            severity_number=SeverityNumber.ERROR if i % 5 == 0 else SeverityNumber.INFO,
            severity_text="ERROR" if i % 5 == 0 else "INFO",
            body=body,
            attributes={"order": i, "region": "eu"},
        )
        sent.append({"time": str(now + i), "severity": "ERROR" if i % 5 == 0 else "INFO", "body": body, "order": i})
    assert provider.force_flush(20_000), "logs were not acknowledged"
    provider.shutdown()
    return sent


def send_metrics(service, exporter, seed):
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider(metric_readers=[reader], resource=Resource.create({"service.name": service}))
    meter = provider.get_meter("truth")
    rng = random.Random(seed)
    orders = meter.create_counter("truth.orders", unit="{order}")
    depth = 17.25 + seed
    meter.create_observable_gauge("truth.depth", callbacks=[lambda _: [Observation(depth, {"queue": "main"})]])
    sizes = meter.create_histogram("truth.size", unit="By")
    counted, values = {}, []
    for _ in range(2):
        for _ in range(500):
            shop = rng.choice(["north", "south"])
            n = rng.randrange(1, 9)
            orders.add(n, {"shop": shop})
            counted[shop] = counted.get(shop, 0) + n
            value = rng.lognormvariate(4, 1.5)
            sizes.record(value)
            values.append(value)
        assert provider.force_flush(20_000), "metrics were not acknowledged"
    provider.shutdown()
    buckets = [0] * (len(BOUNDS) + 1)
    for value in values:
        buckets[sum(value > bound for bound in BOUNDS)] += 1
    return {"orders": counted, "depth": depth, "bounds": BOUNDS, "buckets": buckets, "values": sorted(values)}


def main():
    grpc, http = sys.argv[1:3]
    logging.basicConfig(stream=sys.stderr)
    truth = {}
    for service, seed, spans, logs, metrics in [
        ("truth-grpc", 1, GrpcSpans(endpoint=grpc, insecure=True), GrpcLogs(endpoint=grpc, insecure=True),
         GrpcMetrics(endpoint=grpc, insecure=True)),
        ("truth-http", 2, HttpSpans(endpoint=f"{http}/v1/traces"), HttpLogs(endpoint=f"{http}/v1/logs"),
         HttpMetrics(endpoint=f"{http}/v1/metrics")),
    ]:
        truth[service] = {
            "spans": send_spans(service, spans, seed),
            "logs": send_logs(service, logs),
            "metrics": send_metrics(service, metrics, seed),
        }
    json.dump(truth, sys.stdout)


main()
