from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest

from cyxcloud.wire.status import NodeState
from nodefs.health import GOOD, Condition, Limits, Sample, judge, reopen_seconds

LIMITS = Limits()
QUICK = Sample(0.01)
SLOW = Sample(6.0)
UP, DOWN, READ_ONLY = NodeState.UP, NodeState.DOWN, NodeState.READ_ONLY


def states(samples: Sequence[Sample], before: Condition = GOOD) -> list[NodeState]:
    seen = []
    for sample in samples:
        before = judge(before, sample, LIMITS)
        seen.append(before.state)
    return seen


def failing(number: int) -> Sample:
    return Sample(0.01, error=number)


@pytest.mark.parametrize(
    ("number", "state", "reason"),
    [
        (errno.EROFS, READ_ONLY, "read-only"),
        (errno.ENOSPC, READ_ONLY, "full"),
        (errno.EDQUOT, READ_ONLY, "full"),
        (errno.EIO, DOWN, "Input/output error"),
        (errno.ENODEV, DOWN, "No such device"),
    ],
)
def test_error_takes_a_disk_out_at_once_and_says_why(number: int, state: NodeState, reason: str) -> None:
    after = judge(GOOD, failing(number), LIMITS)
    assert after.state is state
    assert reason in after.reason


def test_disk_without_inodes_says_so() -> None:
    assert "no inodes" in judge(GOOD, Sample(0.01, error=errno.ENOSPC, inodes_left=False), LIMITS).reason


def test_full_disk_comes_back_after_two_good_samples() -> None:
    assert states([failing(errno.ENOSPC), QUICK, failing(errno.ENOSPC), QUICK, QUICK]) == [READ_ONLY] * 4 + [UP]


def test_failed_disk_comes_back_after_three_good_samples() -> None:
    assert states([failing(errno.EIO), QUICK, QUICK, SLOW, QUICK, QUICK, QUICK]) == [DOWN] * 3 + [READ_ONLY] * 3 + [UP]


def test_one_slow_write_takes_nothing_out() -> None:
    assert states([SLOW, QUICK, QUICK, SLOW, QUICK, QUICK]) == [UP] * 6


def test_repeatedly_slow_disk_is_only_read_until_it_is_quick_again() -> None:
    assert states([SLOW, SLOW, QUICK, SLOW, QUICK, QUICK, QUICK]) == [UP] + [READ_ONLY] * 5 + [UP]
    assert states([SLOW, QUICK, SLOW]) == [UP, UP, READ_ONLY]


def test_slow_disk_still_takes_what_is_sent_to_it_and_no_other_sick_one_does() -> None:
    assert judge(judge(GOOD, SLOW, LIMITS), SLOW, LIMITS).writable
    for number in (errno.EROFS, errno.ENOSPC, errno.EIO):
        assert not judge(GOOD, failing(number), LIMITS).writable
    assert not judge(GOOD, Sample(31.0, ended=False), LIMITS).writable


def test_silent_disk_is_down_when_it_hangs_and_not_before() -> None:
    assert states([Sample(29.0, ended=False), Sample(31.0, ended=False), Sample(33.0, ended=False)]) == [UP, DOWN, DOWN]
    assert states([Sample(31.0, ended=False), SLOW, QUICK, QUICK, QUICK]) == [DOWN, READ_ONLY, READ_ONLY, READ_ONLY, UP]


def test_disk_is_out_within_a_minute_whatever_is_wrong_with_it() -> None:
    assert LIMITS.probe + LIMITS.hung < 45
    assert 2 * (LIMITS.probe + LIMITS.slow + 1) < 45


def test_opening_again_becomes_rarer_to_a_bound() -> None:
    waits = [reopen_seconds(attempts, LIMITS) for attempts in range(9)]
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert reopen_seconds(10_000, LIMITS) == 300
