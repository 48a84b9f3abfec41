from __future__ import annotations

import pytest

from s3gw.bucket_names import check_bucket_name, check_new_bucket_name
from s3gw.errors import Code, S3Error

GOOD = ["abc", "a.b", "a-b", "my.bucket-1", "a--b", "0ab", "a" * 63, "1.2.3", "1.2.3.4.5"]
NEVER = [
    "",
    "a",
    "ab",
    "a" * 64,
    "Abc",
    "a_b",
    ".ab",
    "ab.",
    "-ab",
    "ab-",
    "..",
    "a/b",
    "a b",
    "a\0b",
    "\u00e4bc",
    "abc\n",
    "-",
]
NOT_NEW = ["a..b", "a.-b", "a-.b", "192.168.5.4", "xn--abc", "sthree-abc", "amzn-s3-demo-x", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3"]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_bucket_names_accepted(name: str) -> None:
    check_bucket_name(name)
    check_new_bucket_name(name)


@pytest.mark.parametrize("name", NEVER)
def test_bucket_names_never_valid(name: str) -> None:
    for check in (check_bucket_name, check_new_bucket_name):
        with pytest.raises(S3Error) as caught:
            check(name)
        assert caught.value.code is Code.INVALID_BUCKET_NAME


@pytest.mark.parametrize("name", NOT_NEW)
def test_bucket_names_not_for_new_buckets(name: str) -> None:
    check_bucket_name(name)
    with pytest.raises(S3Error):
        check_new_bucket_name(name)
