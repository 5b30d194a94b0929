"""Options of the Douyin push connector."""

from typing import Annotated

from msgspec import Meta, Struct

from frontrow.config.secret import Secret


class DouyinPushOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a room's Douyin push.

    ``secret``: the push secret that is configured beside the callback address at the open platform (not the app secret
    nor an access token). Required.
    ``max_age_s``: a request signed longer ago than this, or as far ahead, is refused, in seconds. Default 300.
    """

    secret: Annotated[Secret, Meta(min_length=1)]
    max_age_s: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
