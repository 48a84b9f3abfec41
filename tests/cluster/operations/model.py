"""What a bucket should hold, as a dict of lists: the oracle of the state machine (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import md5

OFF, ENABLED, SUSPENDED = "Off", "Enabled", "Suspended"
NULL = "null"
GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
TOMORROW = 1


def etag_of(body: bytes) -> str:
    return md5(body, usedforsecurity=False).hexdigest()


def multipart_etag_of(parts: list[bytes]) -> str:
    digests = b"".join(md5(part, usedforsecurity=False).digest() for part in parts)
    return f"{md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


@dataclass(frozen=True, slots=True)
class Kept:
    """A version; a delete marker has no body."""

    id: str
    body: bytes | None
    etag: str = ""
    note: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    mode: str = ""
    until: int = 0
    """Year until which it is retained; a default retention of a day counts as TOMORROW."""
    hold: bool = False

    @property
    def is_marker(self) -> bool:
        return self.body is None

    def keeps_its_place(self, *, bypass: bool) -> bool:
        """Whether its lock refuses a removal."""
        return self.hold or self.mode == COMPLIANCE or (self.mode == GOVERNANCE and not bypass)

    def takes(self, mode: str, until: int, *, bypass: bool) -> bool:
        """Whether its retention may become this one."""
        prolongs = mode == self.mode and until >= self.until
        return not self.mode or prolongs or (bypass and self.mode == GOVERNANCE)


MARKER = Kept(NULL, None)


class Model:
    """`chains`: of each key its versions, the newest first; no chain is empty."""

    def __init__(self) -> None:
        self.status = OFF
        self.locks = False
        self.default_mode = ""
        self.chains: dict[str, list[Kept]] = {}
        self.given: set[str] = set()
        """Every version id that was ever told."""

    def named(self, key: str, version: str | None) -> Kept | None:
        """The current version, or the one that is named; markers too."""
        chain = self.chains.get(key, [])
        if version is None:
            return chain[0] if chain else None
        return next((each for each in chain if each.id == version), None)

    def live(self, key: str) -> Kept | None:
        """What a reader of the key sees."""
        found = self.named(key, None)
        return None if found is None or found.is_marker else found

    def add(self, key: str, new: Kept, told: str | None) -> None:
        """`told` is the version id that the answer gave."""
        chain = self.chains.setdefault(key, [])
        if self.status == ENABLED:
            assert told is not None
            assert told != NULL
            assert told not in self.given, "a version id was given twice"
            self.given.add(told)
        else:
            assert told in ((NULL,) if new.is_marker else (None,))
            chain[:] = [each for each in chain if each.id != NULL]
            told = NULL
        if self.default_mode and not new.is_marker:
            new = replace(new, mode=self.default_mode, until=TOMORROW)
        chain.insert(0, replace(new, id=told))

    def delete(self, key: str, told: str | None) -> None:
        """Without a version named."""
        if self.status == OFF:
            assert told is None
            self.chains.pop(key, None)
        else:
            self.add(key, MARKER, told)

    def remove(self, key: str, version: str) -> Kept | None:
        """The version that is named, for good."""
        gone = self.named(key, version)
        if gone is not None:
            self.chains[key].remove(gone)
            if not self.chains[key]:
                del self.chains[key]
        return gone

    def amend(self, key: str, old: Kept, new: Kept) -> None:
        chain = self.chains[key]
        chain[chain.index(old)] = new

    def versions(self) -> list[tuple[str, Kept, bool]]:
        """(key, version, is latest) in the order of a listing."""
        return [(key, each, at == 0) for key in sorted(self.chains) for at, each in enumerate(self.chains[key])]

    def usage(self) -> tuple[int, int]:
        """Versions and markers, and the bytes of all versions."""
        every = [each for chain in self.chains.values() for each in chain]
        return len(every), sum(len(each.body or b"") for each in every)
