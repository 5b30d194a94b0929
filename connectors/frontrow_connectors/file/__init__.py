"""Canonical events from a file or from standard input: live, and for ``frontrow replay``."""

from frontrow_connectors.contract import Connector
from frontrow_connectors.file.client import FileFeed, iter_batches, iter_frames, merge_by_time
from frontrow_connectors.file.decoder import FileReject
from frontrow_connectors.file.options import FileOptions

CONNECTOR = Connector(name="file", options=FileOptions, platform=None, client=FileFeed)

__all__ = [
    "CONNECTOR",
    "FileFeed",
    "FileOptions",
    "FileReject",
    "iter_batches",
    "iter_frames",
    "merge_by_time",
]
