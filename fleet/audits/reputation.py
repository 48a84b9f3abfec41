"""A node's reputation (pure): a beta distribution that forgets, in integers, so that anybody can compute it again.

Each audit that counts makes `alpha` and `beta` a thousandth smaller and adds one to `alpha` where it was passed, to
`beta` where it failed; the score is alpha / (alpha + beta). It starts at the steady state of a node that never fails.
With these numbers a node that lost everything is disqualified after some 41 audits, one that lost a tenth after about
505, one that lost 2 % never (docs/decisions/audits.md; the model is Storj's).
"""

from __future__ import annotations

from dataclasses import dataclass

ONE = 1_000_000  # the unit of alpha, beta and scores: millionths
LAMBDA_PER_MILLE = 999
FIRST_ALPHA = 1000 * ONE
SUSPEND_BELOW = 980_000
DISQUALIFY_BELOW = 960_000


@dataclass(frozen=True, slots=True)
class Reputation:
    alpha: int = FIRST_ALPHA
    beta: int = 0

    def after(self, *, passed: bool) -> Reputation:
        alpha, beta = (each * LAMBDA_PER_MILLE // 1000 for each in (self.alpha, self.beta))
        return Reputation(alpha + ONE, beta) if passed else Reputation(alpha, beta + ONE)

    @property
    def score(self) -> int:
        """In millionths."""
        return self.alpha * ONE // (self.alpha + self.beta)

    @property
    def is_disqualifying(self) -> bool:
        return self.score < DISQUALIFY_BELOW

    @property
    def is_suspending(self) -> bool:
        return self.score < SUSPEND_BELOW
