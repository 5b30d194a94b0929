"""What an operator sets for a Bilibili Open-Live feed."""

from typing import Annotated

from msgspec import Meta, Struct

from frontrow.config.secret import Secret

Filled = Annotated[str, Meta(min_length=1, max_length=256)]


class BilibiliOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``access_secret`` and ``identity_code`` are secrets: give them by file or environment."""

    access_key_id: Annotated[Filled, Meta(description="the developer's access key id; no default")]
    access_secret: Annotated[
        Secret, Meta(min_length=1, max_length=256, description="the secret of that access key; no default")
    ]
    app_id: Annotated[int, Meta(gt=0, description="the number of the approved project; no default")]
    identity_code: Annotated[
        Secret,
        Meta(min_length=1, max_length=256, description="the anchor's own identity code (身份码); no default"),
    ]
    api_url: Annotated[
        str, Meta(pattern="^https?://", description="the service's address; default: Bilibili's own")
    ] = "https://live-open.biliapi.com"
    use_proxy: Annotated[
        bool, Meta(description="go through the proxy that the environment names; default: false")
    ] = False
