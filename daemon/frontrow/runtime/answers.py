"""What the HTTP routes have in common: tokens, and refusals in the form of RFC 9457."""

from collections.abc import Mapping
from typing import Any

from litestar import Request
from litestar.exceptions import HTTPException

Http = Request[Any, Any, Any]
Problem = tuple[int, dict[str, str], dict[str, Any]]  # status, headers, body by RFC 9457


def token_of(headers: Mapping[str, str], query: Mapping[str, Any]) -> str | None:
    """Return the token of a request: of its header, or for pages and WebSockets of the query."""
    token = bearer(headers.get("authorization", "")) or query.get("token")
    return token if isinstance(token, str) else None


def bearer(authorization: str) -> str | None:
    """Return the token that an ``Authorization`` header bears."""
    scheme, _, value = authorization.partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> HTTPException:
    """Return a refusal to be raised; ``more`` stands beside the detail in the answer. Whoever raises it has counted it under its own name."""
    return HTTPException(
        status_code=status, detail=detail, headers=dict(headers or {}), extra={"counted": True, **more}
    )


def as_problem(error: HTTPException) -> Problem:
    """Return the answer that a refusal is."""
    headers = dict(error.headers or {})
    if error.status_code == 401:
        headers["www-authenticate"] = "Bearer"
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(error.status_code, "Error"),
        "status": error.status_code,
    }
    if error.detail:
        body["detail"] = error.detail
    if isinstance(error.extra, dict):
        body |= {name: value for name, value in error.extra.items() if name != "counted"}
    return error.status_code, headers, body


TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
