from __future__ import annotations

import pytest

from cyxcloud.objects.website import WEBSITE, Redirect, RoutingRule, Website
from s3gw.configuration.website import parse, render
from s3gw.errors import Code, S3Error

INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"


def document(body: str) -> bytes:
    return f"<WebsiteConfiguration>{body}</WebsiteConfiguration>".encode()


def rules(*each: str) -> bytes:
    listed = "".join(f"<RoutingRule>{rule}</RoutingRule>" for rule in each)
    return document(f"{INDEX}<RoutingRules>{listed}</RoutingRules>")


TO = "<Redirect><HostName>example.com</HostName></Redirect>"


@pytest.mark.parametrize(
    "site",
    [
        Website("index.html"),
        Website("index.html", "error & co.html"),
        Website(everything=Redirect("example.com", "https")),
        Website(everything=Redirect("example.com")),
        Website(
            "i",
            "",
            None,
            (
                RoutingRule(Redirect("a", "http", "new/", None, 307), "old/", 404),
                RoutingRule(Redirect(key="gone"), error=503),
                RoutingRule(Redirect(prefix=""), "strip/"),
                RoutingRule(Redirect("b")),
            ),
        ),
    ],
)
def test_site_is_rendered_parsed_and_stored(site: Website) -> None:
    assert parse(render(site)) == site
    assert WEBSITE.decode(WEBSITE.encode(site)) == site


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (document(""), Code.INVALID_ARGUMENT),
        (document("<IndexDocument><Suffix></Suffix></IndexDocument>"), Code.INVALID_ARGUMENT),
        (document("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>"), Code.INVALID_ARGUMENT),
        (document(INDEX + "<ErrorDocument></ErrorDocument>"), Code.INVALID_ARGUMENT),
        (document("<RedirectAllRequestsTo></RedirectAllRequestsTo>"), Code.MALFORMED_XML),
        (document(INDEX + f"<RedirectAllRequestsTo>{TO[10:-11]}</RedirectAllRequestsTo>"), Code.MALFORMED_XML),
        (document("<RedirectAllRequestsTo><HostName>a b</HostName></RedirectAllRequestsTo>"), Code.MALFORMED_XML),
        (document(INDEX + "<RoutingRules></RoutingRules>"), Code.MALFORMED_XML),
        (rules("<Redirect></Redirect>"), Code.MALFORMED_XML),
        (rules("<Condition><KeyPrefixEquals>a</KeyPrefixEquals></Condition>"), Code.MALFORMED_XML),
        (rules("<Condition></Condition>" + TO), Code.MALFORMED_XML),
        (rules(*([TO] * 51)), Code.INVALID_REQUEST),
        (rules("<Redirect><Protocol>ftp</Protocol></Redirect>"), Code.INVALID_REQUEST),
        (rules("<Redirect><HttpRedirectCode>404</HttpRedirectCode></Redirect>"), Code.INVALID_REQUEST),
        (rules("<Redirect><HttpRedirectCode>306</HttpRedirectCode></Redirect>"), Code.INVALID_REQUEST),
        (rules("<Redirect><HttpRedirectCode>3xx</HttpRedirectCode></Redirect>"), Code.MALFORMED_XML),
        (rules("<Condition><HttpErrorCodeReturnedEquals>418</HttpErrorCodeReturnedEquals></Condition>" + TO), Code.INVALID_REQUEST),
        (rules("<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect>"), Code.INVALID_REQUEST),
        (rules("<Condition><HttpErrorCodeReturnedEquals>304</HttpErrorCodeReturnedEquals></Condition>" + TO), Code.INVALID_REQUEST),
    ],
)  # fmt: skip
def test_parse_of_an_invalid_site_is_refused(body: bytes, code: Code) -> None:
    with pytest.raises(S3Error) as refused:
        parse(body)
    assert refused.value.code is code
