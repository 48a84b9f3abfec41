from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.meta.quotas import Sum
from cyxcloud.objects.errors import QuotaExceeded
from cyxcloud.objects.quota import Quota, refuse

SUMS = st.builds(Sum, st.integers(0, 150), st.integers(0, 150))
ADDED = st.builds(Sum, st.integers(-100, 100), st.integers(-100, 100))
LIMITS = st.none() | st.integers(0, 100)


def refused_for(limit: Quota, used: Sum, added: Sum) -> str:
    try:
        refuse("x", limit, used, added)
    except QuotaExceeded as error:
        return error.unit
    return ""


@given(st.builds(Quota, LIMITS, LIMITS), SUMS, ADDED)
def test_refuse_only_what_adds_and_passes_a_limit(limit: Quota, used: Sum, added: Sum) -> None:
    passes = {
        "bytes": limit.bytes is not None and added.bytes > 0 and used.bytes + added.bytes > limit.bytes,
        "objects": limit.objects is not None and added.objects > 0 and used.objects + added.objects > limit.objects,
    }
    unit = refused_for(limit, used, added)
    assert passes[unit] if unit else not any(passes.values())


def test_refuse_says_what_is_full() -> None:
    with pytest.raises(QuotaExceeded) as caught:
        refuse("bucket b", Quota(bytes=10), Sum(1, 8), Sum(1, 3))
    error = caught.value
    assert (error.whose, error.unit, error.used, error.limit, error.added) == ("bucket b", "bytes", 8, 10, 3)
