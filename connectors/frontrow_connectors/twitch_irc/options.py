"""What an operator sets for a Twitch IRC feed."""

from typing import Annotated

from msgspec import Meta, Struct

from frontrow.config.secret import Secret


class TwitchIrcOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``oauth_token`` is a secret: give it by file or environment. Without it the chat is read anonymously."""

    channel: Annotated[
        str,
        Meta(pattern="^[A-Za-z0-9_]{1,32}$", description="the channel's login name, without #; no default"),
    ]
    nick: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_]{0,32}$",
            description='the login name that the token belongs to; default: "", anonymous',
        ),
    ] = ""
    oauth_token: Annotated[
        Secret, Meta(max_length=256, description='a token with the right chat:read; default: "", anonymous')
    ] = ""
    purchases: Annotated[
        bool,
        Meta(
            description=(
                "whether bits and subscriptions become events; false where an EventSub feed serves the same room,"
                " which tells them under other ids; default: true"
            )
        ),
    ] = True
    socket_url: Annotated[
        str, Meta(pattern="^wss?://", description="the WebSocket's address; default: Twitch's own")
    ] = "wss://irc-ws.chat.twitch.tv:443"
    use_proxy: Annotated[
        bool, Meta(description="go through the proxy that the environment names; default: false")
    ] = False
