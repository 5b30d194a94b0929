"""Text messages to one seller's phone, through a provider."""

from frontrow_connectors.sinks.contract import SinkKind
from frontrow_connectors.sinks.sms.options import SmsOptions
from frontrow_connectors.sinks.sms.sink import PER_MEMBER, SmsSink

SINK = SinkKind(name="sms", options=SmsOptions, open=SmsSink, audience="member", per_member=PER_MEMBER)
