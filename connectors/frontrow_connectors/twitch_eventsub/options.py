"""What an operator sets for a Twitch EventSub feed."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from frontrow.config.secret import Secret

Filled = Annotated[str, Meta(min_length=1, max_length=256)]
Number = Annotated[str, Meta(pattern="^[0-9]+$", max_length=20)]


class TwitchEventSubOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``access_token`` is a secret: give it by file or environment."""

    client_id: Annotated[Filled, Meta(description="the application's client id; no default")]
    access_token: Annotated[
        Secret,
        Meta(min_length=1, max_length=256, description="a user access token of that application; no default"),
    ]
    broadcaster_id: Annotated[Number, Meta(description="the channel's user id, in digits; no default")]
    user_id: Annotated[
        str,
        Meta(
            pattern="^[0-9]*$",
            max_length=20,
            description='the user id of the token, in digits; default: "", the broadcaster',
        ),
    ] = ""
    bits: Annotated[
        Literal["cheer", "bits_use", "chat"],
        Meta(
            description=(
                "where bits are counted, so that none is counted twice: channel.cheer, channel.bits.use (also"
                ' power-ups), or the cheers in chat messages (needs no further right); default: "cheer"'
            )
        ),
    ] = "cheer"
    keepalive_s: Annotated[
        int,
        Meta(ge=10, le=600, description="silence after which Twitch sends a sign of life, in s; default: 15"),
    ] = 15
    socket_url: Annotated[
        str, Meta(pattern="^wss?://", description="the WebSocket's address; default: Twitch's own")
    ] = "wss://eventsub.wss.twitch.tv/ws"
    api_url: Annotated[
        str, Meta(pattern="^https?://", description="the Helix API's address; default: Twitch's own")
    ] = "https://api.twitch.tv/helix"
    use_proxy: Annotated[
        bool, Meta(description="go through the proxy that the environment names; default: false")
    ] = False
