from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cyxcloud.objects import lock
from cyxcloud.objects.attributes import Lock
from cyxcloud.objects.errors import InvalidRetentionDate, ObjectLocked
from cyxcloud.objects.lock import COMPLIANCE, GOVERNANCE, DefaultRetention, Retention

DAY_MS = 86_400_000
NOW = 1_800_000_000_000
LATER, LATEST = NOW + DAY_MS, NOW + 2 * DAY_MS


@pytest.mark.parametrize(
    ("present", "bypasses", "locked"),
    [
        (None, False, False),
        (Lock(), False, False),
        (Lock(legal_hold=False), False, False),
        (Lock(legal_hold=True), False, True),
        (Lock(legal_hold=True), True, True),
        (Lock(GOVERNANCE, LATER), False, True),
        (Lock(GOVERNANCE, LATER), True, False),
        (Lock(GOVERNANCE, LATER, legal_hold=True), True, True),
        (Lock(COMPLIANCE, LATER), False, True),
        (Lock(COMPLIANCE, LATER), True, True),
        (Lock(COMPLIANCE, NOW), False, False),
        (Lock(COMPLIANCE, NOW + 1), False, True),
    ],
)
def test_is_locked(present: Lock | None, bypasses: bool, locked: bool) -> None:  # noqa: FBT001 - of the table
    assert lock.is_locked(present, NOW, bypasses_governance=bypasses) is locked


@pytest.mark.parametrize(
    ("present", "wanted", "bypasses", "allowed"),
    [
        (None, Retention(COMPLIANCE, LATER), False, True),
        (Lock(GOVERNANCE, LATER), Retention(GOVERNANCE, LATER), False, True),
        (Lock(GOVERNANCE, LATER), Retention(GOVERNANCE, LATEST), False, True),
        (Lock(GOVERNANCE, LATEST), Retention(GOVERNANCE, LATER), False, False),
        (Lock(GOVERNANCE, LATEST), Retention(GOVERNANCE, LATER), True, True),
        (Lock(GOVERNANCE, LATER), Retention(COMPLIANCE, LATER), False, False),
        (Lock(GOVERNANCE, LATER), Retention(COMPLIANCE, LATER), True, True),
        (Lock(GOVERNANCE, LATER), None, False, False),
        (Lock(GOVERNANCE, LATER), None, True, True),
        (Lock(GOVERNANCE, NOW), None, False, True),
        (Lock(COMPLIANCE, LATER), Retention(COMPLIANCE, LATEST), False, True),
        (Lock(COMPLIANCE, LATEST), Retention(COMPLIANCE, LATER), True, False),
        (Lock(COMPLIANCE, LATER), Retention(GOVERNANCE, LATEST), True, False),
        (Lock(COMPLIANCE, LATER), None, True, False),
        (Lock(COMPLIANCE, NOW), Retention(GOVERNANCE, LATER), False, True),
    ],
)
def test_retained(
    present: Lock | None,
    wanted: Retention | None,
    bypasses: bool,  # noqa: FBT001 - of the table
    allowed: bool,  # noqa: FBT001
) -> None:
    if not allowed:
        with pytest.raises(ObjectLocked):
            lock.retained(present, wanted, NOW, bypasses_governance=bypasses)
        return
    changed = lock.retained(present, wanted, NOW, bypasses_governance=bypasses)
    assert (changed.mode, changed.until_ms) == (("", 0) if wanted is None else (wanted.mode, wanted.until_ms))


def test_retained_refuses_an_end_that_is_over() -> None:
    with pytest.raises(InvalidRetentionDate):
        lock.retained(None, Retention(GOVERNANCE, NOW), NOW, bypasses_governance=True)


def test_retention_and_legal_hold_leave_each_other() -> None:
    held = lock.held(Lock(COMPLIANCE, LATER), on=True)
    assert held == Lock(COMPLIANCE, LATER, legal_hold=True)
    assert lock.retained(held, Retention(COMPLIANCE, LATEST), NOW, bypasses_governance=False).legal_hold
    assert lock.held(held, on=False) == Lock(COMPLIANCE, LATER, legal_hold=False)


def test_begun_with_the_default_unless_it_brings_its_own() -> None:
    default = DefaultRetention(GOVERNANCE, days=2)
    assert lock.begun_with(None, None, NOW) is None
    assert lock.begun_with(None, default, NOW) == Lock(GOVERNANCE, LATEST)
    assert lock.begun_with(Lock(legal_hold=True), default, NOW) == Lock(GOVERNANCE, LATEST, legal_hold=True)
    assert lock.begun_with(Lock(COMPLIANCE, LATER), default, NOW) == Lock(COMPLIANCE, LATER)


@pytest.mark.parametrize(
    ("begun", "years", "until"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=UTC), 2, datetime(2028, 3, 1, 12, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), 4, datetime(2028, 2, 29, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), 1, datetime(2025, 3, 1, tzinfo=UTC)),
    ],
)
def test_default_until_counts_years_of_the_calendar(begun: datetime, years: int, until: datetime) -> None:
    found = lock.default_until_ms(DefaultRetention(COMPLIANCE, years=years), int(begun.timestamp() * 1000))
    assert found == int(until.timestamp() * 1000)


@given(st.integers(0, 4_000_000_000_000), st.integers(1, lock.MAX_DEFAULT_YEARS))
def test_default_until_is_never_short_of_the_years(now_ms: int, years: int) -> None:
    until_ms = lock.default_until_ms(DefaultRetention(COMPLIANCE, years=years), now_ms)
    assert until_ms % 1000 == 0
    assert years * 365 * DAY_MS <= until_ms - now_ms < years * 366 * DAY_MS + DAY_MS


class LockedVersion(RuleBasedStateMachine):
    """Whatever is asked of a version, what was promised of it holds: this machine keeps the promises in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.lock: Lock | None = None
        self.now = NOW
        self.compliance_until = 0
        self.governance_until = 0
        self.hold = False

    @rule(ms=st.integers(1, DAY_MS))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(on=st.booleans())
    def legal_hold(self, on: bool) -> None:  # noqa: FBT001 - drawn
        self.lock, self.hold = lock.held(self.lock, on=on), on

    @rule(mode=st.sampled_from([GOVERNANCE, COMPLIANCE]), days=st.integers(-1, 4), bypasses=st.booleans())
    def retention(self, mode: str, days: int, bypasses: bool) -> None:  # noqa: FBT001 - drawn
        wanted = Retention(mode, self.now + days * DAY_MS)
        try:
            self.lock = lock.retained(self.lock, wanted, self.now, bypasses_governance=bypasses)
        except (ObjectLocked, InvalidRetentionDate):
            return
        if mode == COMPLIANCE:
            self.compliance_until = wanted.until_ms
        if mode == GOVERNANCE or bypasses:
            self.governance_until = wanted.until_ms if mode == GOVERNANCE else 0

    @rule(bypasses=st.booleans())
    def lift(self, bypasses: bool) -> None:  # noqa: FBT001 - drawn
        try:
            self.lock = lock.retained(self.lock, None, self.now, bypasses_governance=bypasses)
        except ObjectLocked:
            return
        self.governance_until = 0

    @invariant()
    def compliance_and_hold_are_beyond_anybody(self) -> None:
        if self.now < self.compliance_until or self.hold:
            assert lock.is_locked(self.lock, self.now, bypasses_governance=True)

    @invariant()
    def governance_holds_until_it_is_bypassed(self) -> None:
        if self.now < self.governance_until:
            assert lock.is_locked(self.lock, self.now)

    @precondition(lambda self: not self.hold and self.now >= max(self.compliance_until, self.governance_until))
    @invariant()
    def nothing_is_locked_for_no_reason(self) -> None:
        assert not lock.is_locked(self.lock, self.now)


TestLockedVersion = LockedVersion.TestCase
