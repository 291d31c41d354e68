"""`taskmeter ship`: sends the spool to an OTLP endpoint, each span at least once and, but for broken connections, once.

Needs the extra `otlp`; `grpc` for OTLP over gRPC. Reading how far an endpoint is (`backlog`) needs neither.
"""
