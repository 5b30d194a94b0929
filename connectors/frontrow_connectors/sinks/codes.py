"""Business codes: what a receiver that answers HTTP 200 to everything says in its answer's body."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.sinks.posting import Answer


@dataclass(frozen=True, kw_only=True)
class Codes:
    """How one receiver's codes are read; 0 is taken, and what is not named here is refused.

    ``key`` is the field that holds the code. ``too_often`` gives the seconds to wait; ``busy`` are its own troubles.
    """

    receiver: str
    key: str = "errcode"
    too_often: Mapping[int, float] = field(default_factory=dict)
    busy: frozenset[int] = frozenset()
    reasons: Mapping[int, str] = field(default_factory=dict)

    def check(self, answer: Answer) -> dict[str, object]:
        """Return the answer's object if the receiver has taken the message.

        The receiver's own words are not repeated: they carry the address of our server and at times parts of the
        message.

        Raises:
            SinkBusy: Not now; also when the answer is not the receiver's (a proxy's or a login page).
            SinkRefused: Never as it is, with the reason in words where the code is known.
        """
        code, said = self.read(answer)
        if code == 0:
            return said
        name = f"{self.key} {code}"
        if code in self.too_often:
            raise SinkBusy(f"{name}: too often", retry_after_s=self.too_often[code])
        if code in self.busy:
            raise SinkBusy(f"{name}: system busy")
        raise SinkRefused(f"{name}: {self.reasons.get(code, f'{self.receiver} refuses the message')}")

    def read(self, answer: Answer) -> tuple[int, dict[str, object]]:
        """Return the code of an answer and the whole of it. Raises SinkBusy if it is not the receiver's."""
        try:
            said = msgspec.json.decode(answer.body, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SinkBusy(f"the answer is not {self.receiver}'s") from error
        code = said.get(self.key)
        if type(code) is not int:
            raise SinkBusy(f"the answer is not {self.receiver}'s")
        return code, said
