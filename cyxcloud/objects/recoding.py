"""Encrypting stored bytes anew under another key: read chunk by chunk, stored as any body is, never whole in memory.

What the copy then is is a plain object or part of one blob, whatever its source was made of. Crash story: as a put's.
"""

from __future__ import annotations

from contextlib import aclosing

from cyxcloud.core.checksums import Algorithm
from cyxcloud.core.profile import Profile
from cyxcloud.objects import get, intake
from cyxcloud.objects.encryption import Sealing
from cyxcloud.objects.get import ObjectView
from cyxcloud.objects.given_body import GivenBody
from cyxcloud.objects.multipart import Content
from cyxcloud.objects.store import Store


async def encrypt_anew(  # noqa: PLR0917 - what is read, and all that is to be another
    store: Store,
    source: ObjectView,
    span: tuple[int, int],
    algorithm: Algorithm | None,
    sealing: Sealing,
    profile: Profile | None,
) -> Content:
    """Durable but without rows yet: `Content.taken` is to be inserted or discarded."""
    start, end = span
    async with store.recoding, aclosing(get.read_range(store, source, start, end)) as pieces:  # type: ignore[type-var]
        taken = await intake.take(store, GivenBody(pieces, algorithm), sealing, profile)
    return Content((taken.segment,), taken.etag, taken.digests.checksum, taken)
