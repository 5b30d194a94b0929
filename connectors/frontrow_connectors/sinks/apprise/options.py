"""What an operator can say of a service behind Apprise."""

import importlib.util
from typing import Annotated

from msgspec import Meta, Struct

from frontrow.config.secret import Secret


class AppriseOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one service.

    ``url`` is Apprise's way to name it ("tgram://…", "slack://…", "mailtos://…"); it holds tokens and passwords.
    ``timeout_s`` is how long a message may take; what takes longer counts as not sent.
    """

    url: Annotated[Secret, Meta(min_length=1, max_length=2_048)]
    timeout_s: Annotated[float, Meta(gt=0, le=9)] = 8.0

    def __post_init__(self) -> None:
        if "://" not in self.url:
            raise ValueError("should look like service://…, see the list at github.com/caronc/apprise/wiki")
        if importlib.util.find_spec("apprise") is None:
            raise ValueError("Apprise is not installed: pip install 'frontrow[apprise]'")
