from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.recovery_code import WRAPPED_MASTER_BYTES, BadRecoveryCode, RecoveryCode

SECRET = bytes(range(16))
TEXT = "000G-40R4-0M30-E209-185G-R38E-1XNT"
MASTER, CLUSTER = bytes(range(100, 132)), bytes(range(200, 216))


def test_golden_text() -> None:
    """People have this on paper: it must be read for ever."""
    assert RecoveryCode(SECRET).text() == TEXT
    assert RecoveryCode.parse(TEXT) == RecoveryCode(SECRET)


def test_golden_wrapped_master() -> None:
    wrapped = RecoveryCode(SECRET).wrap_master(MASTER, CLUSTER)
    assert (
        wrapped.hex()
        == "4359585752415001c8c9cacbcccdcecfd0d1d2d3d4d5d6d7c8a7c2ed62f2410a2b2b31d0eb6e8a2e62fbfc2c89a6df6e28f077ce797d29fedfd8e601830368e5"
    )
    assert len(wrapped) == WRAPPED_MASTER_BYTES
    assert RecoveryCode.parse(TEXT).unwrap_master(wrapped) == MASTER


@given(st.binary(min_size=16, max_size=16))
def test_text_round_trip(secret: bytes) -> None:
    text = RecoveryCode(secret).text()
    assert [len(group) for group in text.split("-")] == [4] * 7
    for typed in (text, text.lower(), text.replace("-", ""), f" {text.replace('-', ' ')}\n"):
        assert RecoveryCode.parse(typed).secret == secret
    assert RecoveryCode.parse(text.replace("0", "o").replace("1", "l")).secret == secret


def test_one_wrong_letter_is_noticed() -> None:
    """The check is twelve bits: a slip passes once in 4,096 times."""
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    passed = 0
    for at, old in enumerate(TEXT):
        for letter in letters:
            if old in ("-", letter):
                continue
            try:
                RecoveryCode.parse(TEXT[:at] + letter + TEXT[at + 1 :])
                passed += 1
            except BadRecoveryCode:
                pass
    assert passed <= 2


@pytest.mark.parametrize("text", ["", TEXT[:-1], TEXT + "0", "U" + TEXT[1:], "é" + TEXT[1:]])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(BadRecoveryCode):
        RecoveryCode.parse(text)


def test_wraps_open_only_with_their_code_and_cluster() -> None:
    wrapped = RecoveryCode(SECRET).wrap_master(MASTER, CLUSTER)
    flipped = [wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :] for at in range(len(wrapped))]
    for code, data in [
        (RecoveryCode(bytes(16)), wrapped),
        (RecoveryCode(SECRET), wrapped[:-1]),
        (RecoveryCode(SECRET), b""),
        *((RecoveryCode(SECRET), other) for other in flipped),
    ]:
        with pytest.raises(BadRecoveryCode):
            code.unwrap_master(data)


def test_never_shown_by_accident() -> None:
    code = RecoveryCode.generate()
    assert code != RecoveryCode.generate()
    assert code.secret.hex() not in repr(code)
    assert code.text() not in f"{code} {code!r}"
