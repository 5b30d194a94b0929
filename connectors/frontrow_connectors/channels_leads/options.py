"""What an operator sets for the leads of a WeChat Channels account."""

from typing import Annotated

from msgspec import Meta, Struct

from frontrow.config.secret import Secret


class ChannelsLeadsOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``app_secret`` is a secret: give it by file or environment."""

    app_id: Annotated[str, Meta(min_length=1, max_length=64, description="the account's AppID; no default")]
    app_secret: Annotated[
        Secret, Meta(min_length=1, max_length=256, description="the AppSecret beside it; no default")
    ]
    form: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            description='the form\'s name in the events; default: "channels_leads"',
        ),
    ] = "channels_leads"
    consent_text: Annotated[
        str,
        Meta(
            max_length=2_000,
            description=(
                "what viewers agree to where they leave their number; without it consent is unknown, and numbers are"
                ' not kept; default: ""'
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
    every_s: Annotated[int, Meta(ge=10, le=3_600, description="between two rounds, in s; default: 60")] = 60
    max_age_days: Annotated[
        int,
        Meta(ge=1, le=365, description="broadcasts begun earlier are not asked about, in days; default: 30"),
    ] = 30
    calls_per_minute: Annotated[
        int, Meta(ge=1, le=600, description="calls in a minute, at most; default: 120")
    ] = 120
    api_url: Annotated[
        str, Meta(pattern="^https?://", description="the service's address; default: WeChat's own")
    ] = "https://api.weixin.qq.com"
    use_proxy: Annotated[
        bool, Meta(description="go through the proxy that the environment names; default: false")
    ] = False
