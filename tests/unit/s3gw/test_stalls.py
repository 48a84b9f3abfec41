from __future__ import annotations

import asyncio
from typing import cast

from s3gw.stalls import LEAST_BYTES, STALL_SECONDS, Sending, SendWatch


class FakeTransport:
    """What a stalled or slow client leaves of a transport: a buffer, and whether it was broken off."""

    def __init__(self) -> None:
        self.waiting = 0
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.aborted, self.waiting = True, 0


def write_transport(fake: FakeTransport) -> asyncio.WriteTransport:
    return cast("asyncio.WriteTransport", fake)


def sending(fake: FakeTransport) -> Sending:
    return Sending(write_transport(fake), 0.0)


def test_nothing_waiting_is_no_stall() -> None:
    fake = FakeTransport()
    assert not sending(fake).is_stalled(10 * STALL_SECONDS, STALL_SECONDS)


def test_a_client_that_takes_nothing_is_stalled_after_the_limit() -> None:
    fake = FakeTransport()
    one = sending(fake)
    one.given = fake.waiting = 4 << 20
    assert not one.is_stalled(STALL_SECONDS - 1, STALL_SECONDS)
    assert one.is_stalled(STALL_SECONDS, STALL_SECONDS)


def test_a_slow_client_is_not_stalled() -> None:
    fake = FakeTransport()
    one = sending(fake)
    one.given = fake.waiting = 4 << 20
    now = 0.0
    while fake.waiting > LEAST_BYTES:
        now += STALL_SECONDS - 1
        fake.waiting -= LEAST_BYTES
        assert not one.is_stalled(now, STALL_SECONDS)


def test_a_trickle_is_a_stall() -> None:
    fake = FakeTransport()
    one = sending(fake)
    one.given = fake.waiting = 4 << 20
    fake.waiting -= LEAST_BYTES - 1
    assert one.is_stalled(STALL_SECONDS, STALL_SECONDS)


def test_written_bytes_are_no_progress() -> None:
    fake = FakeTransport()
    one = sending(fake)
    one.given = fake.waiting = 1 << 20
    one.given += 1 << 20
    fake.waiting += 1 << 20
    assert one.is_stalled(STALL_SECONDS, STALL_SECONDS)


async def test_watch_breaks_off_the_stalled_alone() -> None:
    watch, stuck, idle = SendWatch(0.005, 0.001), FakeTransport(), FakeTransport()
    with watch.watched(write_transport(stuck)) as first, watch.watched(write_transport(idle)):
        first.given = stuck.waiting = 1 << 20
        async with asyncio.timeout(5):
            while not stuck.aborted:
                await asyncio.sleep(0.001)
    assert not idle.aborted


async def test_what_was_handed_over_last_is_watched_until_it_is_gone() -> None:
    watch, stuck = SendWatch(0.005, 0.001), FakeTransport()
    with watch.watched(write_transport(stuck)) as last:
        last.given = stuck.waiting = 1 << 20
    async with asyncio.timeout(5):
        while not stuck.aborted:
            await asyncio.sleep(0.001)
