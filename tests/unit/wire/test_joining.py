"""Join tokens and the two messages of a join: what is taken, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.identity import NodeIdentity
from cyxcloud.wire.joining import (
    BadToken,
    JoinAnswer,
    JoinRequest,
    JoinToken,
    RenewAnswer,
    encode_answer,
    encode_renewed,
    encode_request,
    is_proven,
    parse_answer,
    parse_renewed,
    parse_request,
    prove,
    token_hash,
)
from cyxcloud.wire.status import WireError

PIN = bytes(range(32))
TOKEN = JoinToken(b"s" * 20, PIN)
REQUEST = JoinRequest(
    secret=TOKEN.secret.hex(),
    public_key=(b"k" * 32).hex(),
    name="box",
    address="192.0.2.1:4001",
    capacity_bytes=10**12,
    zone="z",
    operator="o",
    region="r",
    version="0.1.0",
    time_ms=1_800_000_000_000,
    proof=(b"p" * 64).hex(),
)
ANSWER = JoinAnswer("c" * 32, "d" * 32, "e" * 64, "box", "PEM")


def test_token_text_of_its_first_day_is_still_read() -> None:
    text = "cyxj_c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3MAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH-I3"
    assert TOKEN.text() == text
    assert JoinToken.parse(f" {text}\n") == TOKEN


@given(st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32))
def test_token_is_read_as_it_was_written(secret: bytes, pin: bytes) -> None:
    assert JoinToken.parse(JoinToken(secret, pin).text()) == JoinToken(secret, pin)


@given(st.data())
def test_token_that_was_cut_or_mistyped_is_refused(data: st.DataObject) -> None:
    text = TOKEN.text()
    at = data.draw(st.integers(0, len(text) - 1))
    wrong = data.draw(
        st.one_of(st.just(text[:at]), st.characters().map(lambda each: text[:at] + each + text[at + 1 :]))
    )
    try:
        # The last character of base64 has bits that say nothing.
        assert JoinToken.parse(wrong) == TOKEN
        assert wrong.strip() == text or at == len(text) - 1
    except BadToken:
        assert wrong != text


def test_two_tokens_are_never_the_same() -> None:
    one, other = JoinToken.generate(PIN), JoinToken.generate(PIN)
    assert one.secret != other.secret
    assert one.hash == token_hash(one.secret) != one.secret
    assert one.secret.hex() not in one.hash.hex()


def test_messages_are_read_as_they_were_written() -> None:
    assert parse_request(encode_request(REQUEST)) == REQUEST
    assert parse_answer(encode_answer(ANSWER)) == ANSWER
    assert parse_renewed(encode_renewed(RenewAnswer("PEM"))) == RenewAnswer("PEM")


@given(st.binary(max_size=300))
def test_nonsense_is_no_message(data: bytes) -> None:
    for parse in (parse_request, parse_answer, parse_renewed):
        with pytest.raises(WireError):
            parse(data)


def test_what_a_newer_node_adds_is_passed_over() -> None:
    assert parse_answer(encode_answer(ANSWER)[:-1] + b', "later": 1}') == ANSWER


def test_proof_is_of_this_key_this_token_and_this_moment() -> None:
    mine, other = NodeIdentity.generate(), NodeIdentity.generate()
    proof = prove(mine, TOKEN.hash, 5)
    assert is_proven(mine.public_key, TOKEN.hash, 5, proof)
    assert not is_proven(other.public_key, TOKEN.hash, 5, proof)
    assert not is_proven(mine.public_key, replace(TOKEN, secret=b"t" * 20).hash, 5, proof)
    assert not is_proven(mine.public_key, TOKEN.hash, 6, proof)


def test_key_of_small_order_proves_nothing() -> None:
    """Its signature of 64 zeros, but for the point, would hold for any message."""
    identity_point = (1).to_bytes(32, "little")
    assert not is_proven(identity_point, TOKEN.hash, 5, identity_point + bytes(32))
