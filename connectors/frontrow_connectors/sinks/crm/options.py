"""What an operator can say of a CRM."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from frontrow.config.secret import Secret
from frontrow_connectors.sinks.outward import check_fields
from frontrow_connectors.sinks.posting import check_url

Target = Annotated[str, Meta(min_length=1, max_length=200)]
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")


class CrmOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one CRM.

    ``fields`` says which field of ours stands in which field of theirs, ``fixed`` what always stands there; a dot in a
    name of theirs makes an object ("contact.name"). ``body`` is how it is sent. ``token`` goes into the header
    ``token_header``, behind "Bearer " where that is Authorization. ``only`` are the kinds of happenings that are sent
    ("lead.hot", "lead.won" …), empty: all. ``receipt`` is where their answer has the record's id ("data.id"), empty:
    nowhere. ``timeout_s`` is the longest wait for the connection and for each part of the answer.
    """

    url: str
    fields: dict[Target, str]
    fixed: dict[Target, str | int | float | bool] = msgspec.field(default_factory=dict)
    body: Literal["json", "form"] = "json"
    token: Annotated[Secret, Meta(min_length=1, max_length=4_096)] | None = None
    token_header: str = "Authorization"
    only: tuple[str, ...] = ()
    receipt: Annotated[str, Meta(max_length=200)] = ""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 8.0

    def __post_init__(self) -> None:
        check_url(self.url)
        check_fields(self.fields.values(), "fields")
        if not _HEADER.fullmatch(self.token_header):
            raise ValueError("token_header is no name of a header")
        both = sorted(set(self.fields) & set(self.fixed))
        if both:
            raise ValueError(f"{both[0]!r} stands in fields and in fixed")
        names = sorted({*self.fields, *self.fixed})
        for name in names:
            if not all(name.split(".")):
                raise ValueError(f"{name!r} has an empty part")
            inside = [other for other in names if other.startswith(name + ".")]
            if inside:
                raise ValueError(f"{name!r} cannot be a value and hold {inside[0]!r}")
