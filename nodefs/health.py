"""What state a disk is in, from what was seen of it (pure).

A sample is one small write and sync of the prober, a round of commits, or one of these that has not ended. A disk goes
at once where the kernel says why (EROFS, ENOSPC, EIO), and where it is slow or silent only after more than one chance,
so that one long write-back takes nothing out; it comes back after several good samples in a row. A slow disk is out of
placement but still takes what is sent to it: where all disks are slow, slow writes are better than none.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace

from cyxcloud.wire.status import NodeState


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds. A healthy disk syncs 4 KiB within 0.1; under a long write-back it takes a few."""

    slow: float = 5.0
    hung: float = 30.0
    probe: float = 5.0  # between two probes
    again: float = 5.0  # before a node is first opened again, and between looks for a folder that is gone


@dataclass(frozen=True, slots=True)
class Sample:
    seconds: float  # how long it took, or has taken so far
    ended: bool = True
    error: int = 0  # errno
    inodes_left: bool = True


@dataclass(frozen=True, slots=True)
class Condition:
    """`slow` weighs slow samples against good ones; `good` counts good ones in a row while it is not UP."""

    state: NodeState = NodeState.UP
    reason: str = ""
    slow: int = 0
    good: int = 0
    wanted: int = 0  # good samples before it is UP again
    writable: bool = True


GOOD = Condition()
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# Two slow samples with fewer than two good ones between them.
_SLOW_WEIGHT = 2
_SLOW_OUT = 3
_QUICK_RETURN = 2
_SLOW_RETURN = 3
_LONGEST_PAUSE = 300.0


def judge(before: Condition, sample: Sample, limits: Limits) -> Condition:
    if not sample.ended:
        return _silent(before, sample, limits)
    if sample.error:
        return _failed(sample)
    if sample.seconds > limits.slow:
        return _slow(before, sample)
    if before.state is NodeState.UP:
        return replace(before, slow=max(0, before.slow - 1))
    good = before.good + 1
    return GOOD if good >= before.wanted else replace(before, good=good)


def _silent(before: Condition, sample: Sample, limits: Limits) -> Condition:
    if sample.seconds <= limits.hung:
        return before
    reason = f"its disk has not answered for {limits.hung:.0f} s"
    return Condition(NodeState.DOWN, reason, wanted=_SLOW_RETURN, writable=False)


def _failed(sample: Sample) -> Condition:
    if sample.error == errno.EROFS:
        return Condition(NodeState.READ_ONLY, "its filesystem is read-only", wanted=_QUICK_RETURN, writable=False)
    if sample.error in _FULL:
        reason = "its disk is full" if sample.inodes_left else "its filesystem has no inodes left"
        return Condition(NodeState.READ_ONLY, reason, wanted=_QUICK_RETURN, writable=False)
    reason = f"its disk fails: {os.strerror(sample.error)}"
    return Condition(NodeState.DOWN, reason, wanted=_SLOW_RETURN, writable=False)


def _slow(before: Condition, sample: Sample) -> Condition:
    weight = before.slow + _SLOW_WEIGHT
    if before.state is NodeState.UP and weight < _SLOW_OUT:
        return replace(before, slow=weight)
    reason = f"its disk is slow: {sample.seconds:.0f} s for one write"
    return Condition(NodeState.READ_ONLY, reason, slow=min(weight, _SLOW_OUT), wanted=_SLOW_RETURN)


def reopen_seconds(attempts: int, limits: Limits) -> float:
    """How long to wait before a node is opened again, after so many attempts that did not last."""
    return min(limits.again * 2.0 ** min(attempts, 20), _LONGEST_PAUSE)
