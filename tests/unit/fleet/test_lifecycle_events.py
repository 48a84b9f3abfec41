"""What those who follow a bucket are told of what lifecycle rules do in it."""

from __future__ import annotations

from cyxcloud.meta import changes
from cyxcloud.objects.lifecycle import Expiration, Transition
from tests.unit.fleet.test_lifecycle import BUCKET, Bench, bench

__all__ = ["bench"]


async def _follow(bench: Bench) -> None:
    store = await bench.objects.ready()
    await store.change(lambda conn: changes.follow(conn, BUCKET.id, "r"))


def _told(bench: Bench) -> list[tuple[str, str]]:
    return [(each.event, each.cause.principal) for each in changes.read(bench.reader, BUCKET.id, 0, 100)]


async def test_expiration_is_told_as_the_lifecycles_own(bench: Bench) -> None:
    await bench.put(b"a")
    await _follow(bench)
    await bench.rules(expiration=Expiration(days=2))
    await bench.after(3)
    assert _told(bench) == [("LifecycleExpiration:Delete", "s3.amazonaws.com")]


async def test_expiration_that_leaves_a_marker_is_told_so(bench: Bench) -> None:
    await bench.versioned()
    await bench.put(b"a")
    await _follow(bench)
    await bench.rules(expiration=Expiration(days=2))
    await bench.after(3)
    assert _told(bench) == [("LifecycleExpiration:DeleteMarkerCreated", "s3.amazonaws.com")]


async def test_transition_is_told_once(bench: Bench) -> None:
    await bench.put(b"a")
    await _follow(bench)
    await bench.rules(transitions=(Transition("STANDARD_IA", 1),))
    await bench.after(1)
    await bench.after(1)
    assert _told(bench) == [("LifecycleTransition", "s3.amazonaws.com")]
