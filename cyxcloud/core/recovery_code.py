"""The recovery code: 128 random bits that a person keeps, and the master key wrapped under it (pure).

Written in Crockford's base32 (no I, L, O, U; case and dashes do not matter) with 12 check bits, so that a slip in
typing is told from a wrong code. It wraps only the master key: rotating wrapping keys changes the bundle, never the
code.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from cyxcloud.core.keywrap import KEY_BYTES, derive

CODE_BYTES = 16
CLUSTER_ID_BYTES = 16

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_SYMBOLS = 28  # of five bits: 128 of the code, 12 of its check
_CHECK_BITS = 12
_GROUP = 4

_MAGIC = b"CYXWRAP\x01"
_INFO = b"cyxcloud recovery v1"
WRAPPED_MASTER_BYTES = len(_MAGIC) + CLUSTER_ID_BYTES + KEY_BYTES + 8


class BadRecoveryCode(ValueError):
    """Not a recovery code (mistyped), or not the one of this store."""


@dataclass(frozen=True, slots=True, repr=False)
class RecoveryCode:
    secret: bytes

    @classmethod
    def generate(cls) -> RecoveryCode:
        return cls(secrets.token_bytes(CODE_BYTES))

    @classmethod
    def parse(cls, text: str) -> RecoveryCode:
        symbols = [_VALUES.get(letter) for letter in text.upper() if letter not in "- \t\r\n"]
        if len(symbols) != _SYMBOLS:
            raise BadRecoveryCode(f"a recovery code has {_SYMBOLS} letters and digits, this has {len(symbols)}")
        number = 0
        for symbol in symbols:
            if symbol is None:
                raise BadRecoveryCode("a recovery code has only digits and letters, without U")
            number = number << 5 | symbol
        code = cls((number >> _CHECK_BITS).to_bytes(CODE_BYTES, "big"))
        if number & ((1 << _CHECK_BITS) - 1) != code._check():
            raise BadRecoveryCode("a letter or digit of the recovery code is mistyped")
        return code

    def text(self) -> str:
        """For printing, once: seven groups of four."""
        number = int.from_bytes(self.secret, "big") << _CHECK_BITS | self._check()
        symbols = [_ALPHABET[number >> 5 * at & 31] for at in reversed(range(_SYMBOLS))]
        return "-".join("".join(symbols[at : at + _GROUP]) for at in range(0, _SYMBOLS, _GROUP))

    def wrap_master(self, master: bytes, cluster_id: bytes) -> bytes:
        """The content of the file `master.wrapped`."""
        assert len(master) == KEY_BYTES
        assert len(cluster_id) == CLUSTER_ID_BYTES
        return _MAGIC + cluster_id + aes_key_wrap(derive(self.secret, _INFO, cluster_id), master)

    def unwrap_master(self, wrapped: bytes) -> bytes:
        if len(wrapped) != WRAPPED_MASTER_BYTES or not wrapped.startswith(_MAGIC):
            raise BadRecoveryCode("not a wrapped master key of a format known here")
        cluster_id, sealed = wrapped[len(_MAGIC) :][:CLUSTER_ID_BYTES], wrapped[len(_MAGIC) + CLUSTER_ID_BYTES :]
        try:
            return aes_key_unwrap(derive(self.secret, _INFO, cluster_id), sealed)
        except InvalidUnwrap:
            raise BadRecoveryCode("this recovery code is not the one of this store") from None

    def __repr__(self) -> str:
        return "RecoveryCode(...)"

    def _check(self) -> int:
        digest = hashlib.sha256(b"cyxcloud recovery code v1" + self.secret).digest()
        return int.from_bytes(digest[:2], "big") >> 4
