"""Addresses of hosted forms, with what their submissions are attributed to."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from frontrow.config import Config
from frontrow.core.centre.forms import Ticket, read_link, write_ticket


class LinkRefused(Exception):
    """A link cannot be made; ``str(error)`` says why."""


def form_address(
    config: Config,
    name: str,
    *,
    room: str | None,
    labels: Mapping[str, str | None],
    viewer: str | None = None,
    session: str | None = None,
) -> str:
    """Return a form's address. ``room`` None: the form's own; ``viewer`` and ``session`` are signed with its secret.

    Raises:
        LinkRefused: There is no such form, it is not of that room, or it cannot sign.
    """
    form = next((each for each in config.forms if each.id == name), None)
    if form is None:
        known = ", ".join(each.id for each in config.forms) or "none"
        raise LinkRefused(f'there is no form "{name}" in [[forms]]; configured: {known}')
    room = room or form.room
    if room not in (form.room, *form.rooms):
        raise LinkRefused(f'the form "{name}" is not of the room "{room}"; see its rooms')
    query = {"room": room, **{label: value for label, value in labels.items() if value}}
    if viewer is not None or session is not None:
        try:
            query["v"] = write_ticket(form, room, Ticket(viewer, session))
        except ValueError as error:
            raise LinkRefused(str(error)) from error
    link, _ = read_link(form, query)  # as the page will read it
    return f"{config.server.public_url}/form/{quote(form.id)}?{urlencode(link.query)}"
