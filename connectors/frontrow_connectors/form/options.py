"""Options of the form connector: who may post, and what of a submission becomes what."""

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from frontrow.config.secret import Secret
from frontrow_connectors.form.paths import JsonPath, parse

MIN_TOKEN = 16  # characters: a shared token is sent as it is, so it must not be guessed
YES = (
    "true",
    "1",
    "yes",
    "y",
    "on",
    "agree",
    "agreed",
    "accept",
    "accepted",
    "同意",
    "已同意",
    "我同意",
    "是",
)

Text = Annotated[str, Meta(max_length=256)]
Label = Annotated[str, Meta(min_length=1, max_length=256)]
JsonPathText = Annotated[str, Meta(min_length=2, max_length=512)]
Paths = JsonPathText | Annotated[tuple[JsonPathText, ...], Meta(max_length=16)]
"""A JSON path, or several: the first that finds something counts."""

Code = Annotated[str, Meta(pattern=r"\A(?:[a-z0-9]+(?:[-_][a-z0-9]+)*)?\Z", max_length=64)]


class FormOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one form of a form service. Paths are JSON paths (RFC 9535), a text or a list of alternatives.

    ``signature``: how a request proves where it comes from: ``hmac_base64`` or ``hmac_hex`` (HMAC-SHA256 over the raw
    body), ``token`` (``secret`` itself), or ``none``, which is taken from this machine alone.
    ``secret``: the key or the token. Required unless ``signature`` is ``none``.
    ``signature_in``: where it stands, ``header`` or ``query``. Default ``header``.
    ``signature_name``: the header's or the query's name. Default ``x-signature``.
    ``signature_prefix``: what stands before it, as ``sha256=``. Default nothing.
    ``form``: the form's name in the events. Required.
    ``entry_id``: paths to the submission's id, by which a repeated delivery is known. Required.
    ``fields``: what is kept of the answers: the field's name = its paths.
    ``viewer``: paths to the platform's viewer id, where the form carries it. Default none: made from the entry's id.
    ``name``, ``product``, ``campaign``, ``host``: paths to what the event says of these. Default none.
    ``at``: paths to the time of submission (RFC 3339, seconds or milliseconds). Default none: the arrival.
    ``timezone``: of times that name none. Default ``Asia/Shanghai``.
    ``fixed``: what holds where the payload says nothing: a field's name or product, campaign, host = its value.
    ``values``: what values are called here: [values.product] with the service's value = ours.
    ``consent``: paths to the answer to the question for consent. Default none.
    ``consent_values``: the answers that mean yes, in lower case.
    ``consent_always``: the form cannot be sent without consent. Default false.
    ``consent_text``, ``consent_version``: what was shown; kept with every submission that has consent.
    ``lead_channel``: the code of the channel that the submissions come by. Default "".
    ``drop``: paths that are not kept even under ``extra``, as the form's own definition. Default none.
    ``answer``: the body that the service wants to hear. Default ``{"code":0,"message":"ok"}``.
    """

    signature: Literal["hmac_base64", "hmac_hex", "token", "none"]
    secret: Annotated[Secret, Meta(max_length=1_024)] = ""
    signature_in: Literal["header", "query"] = "header"
    signature_name: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]+\Z", max_length=64)] = "x-signature"
    signature_prefix: Annotated[str, Meta(max_length=32)] = ""
    form: Annotated[str, Meta(min_length=1, max_length=64)]
    entry_id: Paths
    fields: Annotated[dict[str, Paths], Meta(min_length=1, max_length=100)]
    viewer: Paths = ()
    name: Paths = ()
    product: Paths = ()
    campaign: Paths = ()
    host: Paths = ()
    at: Paths = ()
    timezone: Label = "Asia/Shanghai"
    fixed: dict[str, Text] = {}
    values: dict[str, dict[str, Text]] = {}
    consent: Paths = ()
    consent_values: tuple[Text, ...] = YES
    consent_always: bool = False
    consent_text: Annotated[str, Meta(max_length=2_000)] = ""
    consent_version: Annotated[str, Meta(max_length=64)] = ""
    lead_channel: Code = ""
    drop: Paths = ()
    answer: Annotated[str, Meta(max_length=1_024)] = '{"code":0,"message":"ok"}'

    def __post_init__(self) -> None:
        if not self.entry_id:
            raise ValueError("entry_id needs a path: without it a repeated delivery would be a second lead")
        if not self.fields:
            raise ValueError("fields is empty: name what is to be kept of the answers")
        if self.signature != "none" and not self.secret:
            raise ValueError(f'signature = "{self.signature}" needs a secret')
        if self.signature == "token" and len(self.secret) < MIN_TOKEN:
            raise ValueError(f"a token needs {MIN_TOKEN} characters or more")
        if self.consent and self.consent_always:
            raise ValueError("consent and consent_always exclude each other")
        if self.consent_always and not self.consent_text:
            raise ValueError("consent_always needs consent_text: what was the viewer shown?")
        unknown = set(self.values) - {*self.fields, *LABELS}
        if unknown:
            raise ValueError(f"values.{min(unknown)}: neither a field nor one of {', '.join(LABELS)}")
        for paths in (
            self.entry_id, self.viewer, self.name, self.product, self.campaign, self.host, self.at, self.consent,
            self.drop, *self.fields.values(),
        ):  # fmt: skip
            parsed(paths)
        if re.search(r"(?:\A|/)\.|\A/|\0", self.timezone):
            raise ValueError(f"no time zone is called {self.timezone!r}")
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"no time zone is called {self.timezone!r}") from None


LABELS = ("product", "campaign", "host")


def parsed(paths: str | tuple[str, ...]) -> tuple[JsonPath, ...]:
    """Return the paths of an option.

    Raises:
        ValueError: One of them is none.
    """
    return tuple(parse(each) for each in ((paths,) if isinstance(paths, str) else paths))
