"""The account as OpenTelemetry spans and metrics. Everything that touches OpenTelemetry's API for us lives here."""
