"""Submissions of forms that others host, posted here by the form service and mapped by the configuration alone."""

from frontrow_connectors.contract import Connector
from frontrow_connectors.form.options import FormOptions
from frontrow_connectors.form.receiver import FormReceiver

CONNECTOR = Connector(name="form", options=FormOptions, platform=None, receiver=FormReceiver)

__all__ = ["CONNECTOR", "FormOptions", "FormReceiver"]
