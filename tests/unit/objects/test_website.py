from __future__ import annotations

import pytest

from cyxcloud.objects.website import Asked, Redirect, RoutingRule, SentOn, Website, key_of, sent_on, sent_to_folder

SITE = Website(
    "index.html",
    "error.html",
    None,
    (
        RoutingRule(Redirect(prefix="documents/"), prefix="docs/"),
        RoutingRule(Redirect(host="example.com", protocol="https", key="gone.html", status=302), prefix="old"),
        RoutingRule(Redirect(host="backend.example", prefix="report/"), prefix="up/", error=404),
        RoutingRule(Redirect(host="backend.example"), error=403),
    ),
)


def asked(path: str) -> Asked:
    key, _, query = path.partition("?")
    return Asked("b.site.test", "http", key.encode(), query)


@pytest.mark.parametrize(
    ("path", "key"),
    [("", "index.html"), ("a/", "a/index.html"), ("a", "a"), ("a/index.html", "a/index.html")],
)
def test_key_of_a_path(path: str, key: str) -> None:
    assert key_of(SITE, asked(path)) == key.encode()


@pytest.mark.parametrize(
    ("path", "error", "to"),
    [
        ("docs/a b.html", 0, SentOn(301, "http://b.site.test/documents/a%20b.html")),
        ("old/x", 0, SentOn(302, "https://example.com/gone.html")),
        ("old/x?a=1", 0, SentOn(302, "https://example.com/gone.html?a=1")),
        ("up/x", 0, None),
        ("up/x", 404, SentOn(301, "http://backend.example/report/x")),
        ("other", 404, None),
        ("other", 403, SentOn(301, "http://backend.example/other")),
        ("docs/x", 404, None),
    ],
)
def test_sent_on_by_the_first_rule_that_fits(path: str, error: int, to: SentOn | None) -> None:
    assert sent_on(SITE, asked(path), error) == to


def test_sent_on_from_everything() -> None:
    site = Website(everything=Redirect("example.com", "https"))
    assert sent_on(site, asked("a/b")) == SentOn(301, "https://example.com/a/b")


def test_location_holds_no_line_break() -> None:
    assert sent_to_folder(asked("a\r\nb")).location == "/a%0D%0Ab/"
