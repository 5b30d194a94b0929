"""What a server is given of the panels: right types, validators that work, and no way out of the folder."""

import re
from pathlib import Path

import pytest

from frontrow_dashboards import pages


def test_the_page_is_html_with_the_headers_that_keep_a_token_in_its_address_safe() -> None:
    found = pages.document("host")
    assert found.body == pages.page("host") == (pages.STATIC / "host.html").read_bytes()
    headers = found.headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"


@pytest.mark.parametrize("name", ["", "host.html", "../pages", "manager"])
def test_an_unknown_page_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        pages.page(name)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("host.js", "text/javascript; charset=utf-8"),
        ("host/list.js", "text/javascript; charset=utf-8"),
        ("host.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_an_asset_comes_with_its_type_and_must_be_revalidated(path: str, content_type: str) -> None:
    found = pages.asset(path)
    assert found is not None
    assert found.body == (pages.STATIC / path).read_bytes()
    assert found.headers["content-type"] == content_type
    assert found.headers["cache-control"] == "no-cache"
    assert found.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "host",
        "host/",
        "missing.js",
        "host.html",  # a page has its own address, whose query the server logs without the token
        "../pages.py",
        "host/../../pages.py",
        "host/../host.js",
        "/host.js",
        "//host.js",
        "..\\pages.py",
        "%2e%2e/pages.py",
        "host.js\0.svg",
        str(Path(pages.__file__)),
    ],
)
def test_nothing_but_the_listed_files_can_be_reached(path: str) -> None:
    assert pages.asset(path) is None


def test_a_browser_that_has_the_file_is_answered_without_a_body() -> None:
    found = pages.asset("host.js")
    assert found is not None
    for seen in (found.etag, f"W/{found.etag}", f'"other", {found.etag}', "*"):
        status, headers, body = found.answer(seen)
        assert (status, body) == (304, b"")
        assert headers["etag"] == found.etag
        assert "content-type" not in headers
    for stale in (None, "", '"other"', found.etag.strip('"')):
        status, headers, body = found.answer(stale)
        assert (status, body) == (200, found.body)


def test_different_bodies_have_different_validators() -> None:
    css, script = pages.asset("host.css"), pages.asset("host.js")
    assert css is not None
    assert script is not None
    assert css.etag != script.etag


def test_every_file_that_the_page_and_its_modules_name_is_served() -> None:
    """A missing module shows as an empty page only in a browser, and only where it is used."""
    named = set(re.findall(r'(?:href|src)="/static/([^"]+)"', pages.page("host").decode()))
    for path in pages.STATIC.rglob("*.js"):
        folder = path.parent
        for target in re.findall(r'from "(\.[^"]+)"', path.read_text("utf-8")):
            named.add((folder / target).resolve().relative_to(pages.STATIC.resolve()).as_posix())
    assert len(named) > 15
    assert [name for name in sorted(named) if pages.asset(name) is None] == []


def test_the_page_has_no_inline_script_or_style_for_the_policy_to_stop() -> None:
    html = pages.page("host").decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)", html) == []
    assert re.findall(r"<style|\bstyle=|\bon\w+=", html) == []


def test_no_module_can_put_in_html_or_run_text() -> None:
    """The one rule that makes hostile names inert: there is no way in, so there is nothing to escape."""
    ways = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc"
    )
    offenders = [path.name for path in pages.STATIC.rglob("*.js") if ways.search(path.read_text("utf-8"))]
    assert offenders == []


def test_nothing_is_kept_in_the_browser_and_nothing_is_asked_elsewhere() -> None:
    elsewhere = re.compile(
        r"localStorage|sessionStorage|indexedDB|document\.cookie|sendBeacon|https?://(?!www\.w3\.org/2000/svg)"
    )
    found = {
        str(path.relative_to(pages.STATIC))
        for path in pages.STATIC.rglob("*.*")
        if elsewhere.search(path.read_text("utf-8"))
    }
    # A seller's phone keeps whose it is, and what was tapped without a network until it is sent: no viewer's data but
    # a note.
    assert found == {"sales.js", "sales/options.js"}
