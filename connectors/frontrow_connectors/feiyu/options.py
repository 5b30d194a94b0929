"""What an operator sets for a 飞鱼 CRM feed."""

from typing import Annotated

from msgspec import Meta, Struct

from frontrow.config.secret import Secret


class FeiyuOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``signature_key`` and ``access_token`` are secrets: give them by file or environment."""

    signature_key: Annotated[
        Secret, Meta(min_length=1, max_length=256, description="the key (密钥) made in 飞鱼; no default")
    ]
    access_token: Annotated[
        Secret, Meta(min_length=1, max_length=256, description="the token made beside it; no default")
    ]
    form: Annotated[
        str, Meta(min_length=1, max_length=64, description='the form\'s name in the events; default: "feiyu"')
    ] = "feiyu"
    consent_text: Annotated[
        str,
        Meta(
            max_length=2_000,
            description=(
                "what people agree to where they leave their number; without it consent is unknown, and numbers are not"
                ' kept; default: ""'
            ),
        ),
    ] = ""
    lead_channel: Annotated[
        str,
        Meta(
            pattern=r"\A(?:[a-z0-9]+(?:[-_][a-z0-9]+)*)?\Z",
            max_length=64,
            description='code of the channel; default: ""',
        ),
    ] = ""
    every_s: Annotated[int, Meta(ge=10, le=3_600, description="between two questions, in s; default: 60")] = (
        60
    )
    overlap_s: Annotated[
        int,
        Meta(
            ge=0,
            le=86_400,
            description="how much of what was asked for is asked for again, in s; default: 600",
        ),
    ] = 600
    first_s: Annotated[
        int,
        Meta(ge=0, le=2_592_000, description="how far back the first question goes, in s; default: 86400"),
    ] = 86_400
    page_size: Annotated[int, Meta(ge=1, le=100, description="leads in one answer; default: 100")] = 100
    api_url: Annotated[
        str, Meta(pattern="^https?://", description="the service's address; default: 飞鱼's own")
    ] = "https://feiyu.oceanengine.com"
    use_proxy: Annotated[
        bool, Meta(description="go through the proxy that the environment names; default: false")
    ] = False
