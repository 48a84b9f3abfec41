"""Any changes, snapshots, lost state files and failed attempts in any order: what is restored is the frozen file."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cyxcloud.meta import cluster
from cyxcloud.meta.snapshot_manifest import Manifest
from tests.unit.fleet.snapshot_faults import MODES, Faults, carry_out_deletions, cut_off
from tests.unit.fleet.snapshot_rig import Rig, rig

ROWS = st.integers(1, 400)
PLACES = st.integers(1, 1500)


class Increments(RuleBasedStateMachine):
    template: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="increments-"))
        self.stack.callback(shutil.rmtree, self.folder)
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.store: Rig = self.stack.enter_context(rig(self.template, self.folder))
        self.frozen: dict[int, bytes] = {}
        self.acknowledged = 0
        self.next = 10_000
        self.is_checked = True

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        self.run(self.store.fill(200))

    @rule(rows=ROWS)
    def append(self, rows: int) -> None:
        self.run(self.store.fill(rows, first=self.next))
        self.next += rows

    @rule(first=PLACES, rows=ROWS)
    def take_away(self, first: int, rows: int) -> None:
        self.run(self.store.empty(rows, first=first))
        self.run(self.store.empty(rows, first=first + 9_999))

    @rule()
    def shrink(self) -> None:
        """The file itself gets shorter."""
        self.run(self.store.compact())

    @rule()
    def snapshot(self) -> None:
        self.acknowledged = self.run(self.store.take()).summary.sequence
        self.frozen, self.is_checked = {self.acknowledged: self.store.path.read_bytes()}, False

    @rule()
    def lose_state_file(self) -> None:
        (self.store.path.parent / "snapshot.state").unlink(missing_ok=True)

    @rule(step=st.integers(1, 45), mode=st.sampled_from(MODES))
    def fail(self, step: int, mode: str) -> None:
        """It may have got far enough to be the newest one all the same."""
        self.run(cut_off(self.store, Faults(step, mode)))
        sequence = cluster.snapshot_sequence(self.store.database.reader())
        self.frozen.setdefault(sequence, self.store.path.read_bytes())
        self.is_checked = False

    @rule()
    def graces_end(self) -> None:
        carry_out_deletions(self.store)
        self.is_checked = False

    @invariant()
    def restorable(self) -> None:
        if self.is_checked or not self.acknowledged:
            return
        self.is_checked = True
        restored = self.store.nodes.restore(self.folder / "again.db").summary.sequence
        assert restored >= self.acknowledged
        assert (self.folder / "again.db").read_bytes() == self.frozen[restored]
        path = self.store.path.parent / "snapshot.state"
        if path.exists():
            manifest = Manifest.decode(path.read_bytes())
            assert sum(blob.stored_groups for blob in manifest.blobs) <= 2 * len(manifest.groups)

    def teardown(self) -> None:
        self.stack.close()


def test_snapshots_in_any_order_restore_the_frozen_file(template: Path) -> None:
    Increments.template = template
    Increments.TestCase.settings = settings(
        max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
    )
    Increments.TestCase().runTest()
