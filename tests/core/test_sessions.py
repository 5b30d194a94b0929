"""Which broadcast an event belongs to."""

from frontrow.core.sessions import Session, Sessions

MINUTE = 60_000
START = 1_750_000_000_000


def sessions() -> Sessions:
    return Sessions(silence_ms=30 * MINUTE, grace_ms=5 * MINUTE)


def at(under_test: Sessions, minutes: float, kind: str = "like", name: str | None = None) -> Session:
    return under_test.of(name, START + round(minutes * MINUTE), kind)


def test_the_first_event_opens_a_session_named_by_its_time() -> None:
    assert at(sessions(), 0).id == f"auto-{START}"


def test_a_silence_of_more_than_thirty_minutes_ends_a_session() -> None:
    under_test = sessions()
    first = at(under_test, 0)
    assert at(under_test, 30) is first
    assert at(under_test, 60.1) is not first


def test_the_end_of_a_room_leaves_five_minutes_of_grace() -> None:
    under_test = sessions()
    first = at(under_test, 0, "room_start")
    at(under_test, 60 / 3, "room_end")
    assert at(under_test, 24.9) is first
    assert at(under_test, 25.1) is not first


def test_a_start_after_an_end_needs_no_grace() -> None:
    under_test = sessions()
    first = at(under_test, 0, "room_start")
    at(under_test, 20, "room_end")
    assert at(under_test, 21, "room_start") is not first


def test_a_second_start_without_an_end_is_the_same_broadcast() -> None:
    """A feed that reconnects says so again."""
    under_test = sessions()
    assert at(under_test, 0, "room_start") is at(under_test, 5, "room_start")


def test_a_late_event_joins_the_session_that_its_time_falls_into() -> None:
    under_test = sessions()
    first = at(under_test, 0)
    at(under_test, 10)
    second = at(under_test, 120)
    assert at(under_test, 9) is first
    assert at(under_test, 121) is second
    assert under_test.current is second


def test_the_first_events_of_a_session_may_come_out_of_order() -> None:
    under_test = sessions()
    first = at(under_test, 10)
    assert at(under_test, 9) is first
    assert first.started_at == START + 9 * MINUTE


def test_a_named_session_is_believed() -> None:
    under_test = sessions()
    assert at(under_test, 0, name="a") is at(under_test, 300, name="a")
    assert at(under_test, 301, name="b").id == "b"
    assert under_test.current is not None
    assert under_test.current.id == "b"


def test_an_event_without_a_name_joins_the_named_session_of_its_time() -> None:
    under_test = sessions()
    assert at(under_test, 0, name="a") is at(under_test, 5)


def test_a_session_is_over_after_its_grace_or_its_silence() -> None:
    under_test = sessions()
    session = at(under_test, 0)
    assert not under_test.over(session, START + 30 * MINUTE)
    assert under_test.over(session, START + 30 * MINUTE + 1)
