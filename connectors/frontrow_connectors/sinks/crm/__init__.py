"""Any CRM that takes JSON or a form over HTTP, by a mapping of fields."""

from frontrow_connectors.sinks.contract import SinkKind
from frontrow_connectors.sinks.crm.options import CrmOptions
from frontrow_connectors.sinks.crm.sink import CrmSink

SINK = SinkKind(name="crm", options=CrmOptions, open=CrmSink, audience="program")
