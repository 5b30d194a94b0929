"""Any receiver that takes signed JSON over HTTP, by the Standard Webhooks convention."""

from frontrow_connectors.sinks.contract import SinkKind
from frontrow_connectors.sinks.webhook.options import WebhookOptions
from frontrow_connectors.sinks.webhook.sink import WebhookSink

SINK = SinkKind(name="webhook", options=WebhookOptions, open=WebhookSink, audience="program")
