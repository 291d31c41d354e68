"""The local durable record: OTLP/JSON lines in a directory, as OpenTelemetry's file exporters write them.

`write` and `encode` know the OpenTelemetry SDK; `read` needs nothing but the standard library.
"""
