"""Values that no message, log line, ``repr`` or dump may show."""

from typing import Annotated

from msgspec import Meta

SHOWN_INSTEAD = "***"

Secret = Annotated[str, Meta(extra={"secret": True})]
"""The type of an option that is a secret: ``token: Secret``. Its values are read as :class:`SecretText`.

Like every text it may be given as ``token_file = "path"`` or by the environment instead.
"""

# A second net under `Secret`: an option that ends in one of these words is hidden though its author forgot the type.
# Who means it to be shown says so: Meta(extra={"secret": False}).
_SECRET_WORDS = frozenset(
    {"secret", "token", "password", "passwd", "passphrase", "key", "code", "credentials"}
)
_SECRET_ENDINGS = ("webhook_url", "webhook")  # group robots: who knows the address may write to the group


class SecretText(str):
    """A text whose ``repr`` hides it, so that the repr of the options around it does too.

    It is the real value wherever it is used as text (``str()``, f-strings, encoding, comparing).
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"SecretText('{SHOWN_INSTEAD}')"


def is_secret_name(name: str) -> bool:
    """Return whether an option of this name is taken for a secret, whatever its type says."""
    return name.rsplit("_", 1)[-1] in _SECRET_WORDS or name.endswith(_SECRET_ENDINGS)
