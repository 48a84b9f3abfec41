"""The keyring's wrapping keys in a process that reads and writes data.

New data keys are wrapped under the current one. A row may name a key that this process has not seen yet: its keys were
rotated a moment ago and the epoch is not followed yet. So an unknown key is looked for in the keyring's folder before
it counts as missing, and no read fails in between. Keys are only ever added.
"""

from __future__ import annotations

from collections.abc import Callable

from cyxcloud.core import keywrap
from cyxcloud.core.ids import BlobId
from cyxcloud.core.keybundle import WrappingKeys
from cyxcloud.core.keywrap import Mode


class UnknownWrappingKey(Exception):
    """A row names a wrapping key that the keyring does not have: an old keyring was put back."""


class Wrapping:
    def __init__(self, load: Callable[[], WrappingKeys]) -> None:
        self._load = load
        self._keys = load()

    @property
    def current(self) -> int:
        return self._keys.current

    def reload(self) -> WrappingKeys:
        """Take over the keys as they stand in the keyring's folder now."""
        self._keys = self._load()
        return self._keys

    def wrap(self, blob: BlobId, mode: Mode, dek: bytes) -> tuple[int, bytes]:
        """The id of the key that it is wrapped under, and the wrapped key."""
        keys = self._keys
        return keys.current, keywrap.wrap(keys.current_key, blob, mode, dek)

    def unwrap(self, key_id: int, blob: BlobId, mode: Mode, wrapped: bytes) -> bytes:
        return keywrap.unwrap(self._key(key_id), blob, mode, wrapped)

    def _key(self, key_id: int) -> bytes:
        key = self._keys.keys.get(key_id)
        if key is None:
            self.reload()
            key = self._keys.keys.get(key_id)
        if key is None:
            raise UnknownWrappingKey(f"the keyring has no wrapping key {key_id}")
        return key
