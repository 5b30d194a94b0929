"""Logs by structlog: an event name plus fields, one JSON object a line; secrets and phone numbers never in clear."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from frontrow.core.contact import mask_numbers
from frontrow.core.promotions import is_version

_SECRET_NAMES = re.compile(
    r"token|secret|password|authorization|signature|api_?key|cookie|_key$|^key$", re.IGNORECASE
)
_SECRET_IN_TEXT = re.compile(
    r"((?:token|key|secret|access_token|sign)=)[^&\s\"']+|(Bearer\s+)\S+", re.IGNORECASE
)
_OURS = frozenset(
    {"timestamp", "level", "logger", "lead"}
)  # made by us; a lead's id may have digits like a number's
_VERSIONS = frozenset({"version", "replaces"})  # whose SHA-256 may have digits like a number's, too
MASK = "***"


def configure(*, level: str = "info", format: str = "json", stream: TextIO | None = None) -> None:
    """Send every log of the process, structlog's and the standard library's, through one masked pipeline.

    ``format`` is "json" (a line of JSON an entry) or "console" (for eyes). ``stream`` is standard error by default.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False)
        if format == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                mask,  # after the traceback has become text: a traceback may quote an address or a number
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their own lines would tell every request with its query, and so tokens; the daemon logs what matters itself.
    for noisy in ("uvicorn.access", "uvicorn.error", "httpx", "httpcore", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def mask(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Hide the values of fields that are named like secrets, and secrets and phone numbers inside any text."""
    return {name: _masked(name, value) for name, value in entry.items()}


def _masked(name: str, value: Any) -> Any:
    if _SECRET_NAMES.search(name):
        return MASK
    if isinstance(value, str):
        ours = name in _OURS or (name in _VERSIONS and is_version(value))
        return value if ours else mask_text(value)
    if isinstance(value, dict):
        return {str(key): _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return mask_text(str(value))


def mask_text(text: str) -> str:
    """Return the text with secrets in addresses and headers, and everything like a phone number, masked."""
    return mask_numbers(_SECRET_IN_TEXT.sub(lambda match: (match[1] or match[2]) + MASK, text))
