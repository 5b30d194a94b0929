"""Where leads go out: one folder a sink. The outbox worker owns retries and budgets; a sink only renders and sends."""
