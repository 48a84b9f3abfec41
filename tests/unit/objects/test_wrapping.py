from __future__ import annotations

import pytest

from cyxcloud.core.ids import BlobId
from cyxcloud.core.keybundle import WrappingKeys
from cyxcloud.core.keywrap import Mode
from cyxcloud.objects.wrapping import UnknownWrappingKey, Wrapping

BLOB, DEK = BlobId(77), bytes(range(32))


class Folder:
    """What stands in DIR/keys, and how often it was read."""

    def __init__(self) -> None:
        self.keys, self.reads = WrappingKeys.generate(), 0

    def load(self) -> WrappingKeys:
        self.reads += 1
        return self.keys


def test_a_key_rotated_a_moment_ago_is_found_without_the_epoch() -> None:
    folder = Folder()
    behind, ahead = Wrapping(folder.load), None
    folder.keys = folder.keys.with_new_key().with_newest_current()
    ahead = Wrapping(folder.load)
    key_id, wrapped = ahead.wrap(BLOB, Mode.SSE_S3, DEK)
    assert (key_id, behind.current) == (2, 1)
    assert behind.unwrap(key_id, BLOB, Mode.SSE_S3, wrapped) == DEK
    assert behind.current == 2
    assert folder.reads == 3


def test_old_keys_open_after_a_reload() -> None:
    folder = Folder()
    wrapping = Wrapping(folder.load)
    old = wrapping.wrap(BLOB, Mode.SSE_S3, DEK)
    folder.keys = folder.keys.with_new_key().with_newest_current()
    assert wrapping.wrap(BLOB, Mode.SSE_S3, DEK) == old, "a key is not current before the process is told"
    wrapping.reload()
    assert wrapping.wrap(BLOB, Mode.SSE_S3, DEK)[0] == 2
    assert wrapping.unwrap(old[0], BLOB, Mode.SSE_S3, old[1]) == DEK
    assert folder.reads == 2


def test_a_key_that_is_nowhere_says_so() -> None:
    with pytest.raises(UnknownWrappingKey, match="9"):
        Wrapping(Folder().load).unwrap(9, BLOB, Mode.SSE_S3, bytes(40))
