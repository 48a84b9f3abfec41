"""What a change of a version chain is told with to those who follow the bucket (pure)."""

from __future__ import annotations

from typing import NamedTuple


class Cause(NamedTuple):
    """Who changes something and by which kind of request, as those are told who follow a bucket's changes: the event's
    name as S3 has it, canonical id, client's address, request id."""

    event: str = "ObjectCreated:Put"
    principal: str = ""
    address: str = ""
    request_id: str = ""


OF_THE_STORE = Cause()
