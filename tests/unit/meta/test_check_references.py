"""References that drift at any moment of a store's life are found, exactly, and mended, whatever happens in between."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from cyxcloud.meta import check_references
from cyxcloud.meta.check import Finding, Kind
from tests.unit.meta.test_blobs import KEYS, ReferenceMachine
from tests.unit.meta.test_check import CONTEXT

COUNTED = (Kind.REFERENCES, Kind.QUEUE, Kind.BLOB_MISSING)


class DriftMachine(ReferenceMachine):
    """All that the machine of references does, and damage between any two steps."""

    def found(self) -> list[Finding]:
        return [each for each in check_references.findings(self.conn, CONTEXT) if each.kind in COUNTED]

    @rule(data=st.data(), amount=st.integers(-3, 3).filter(bool), key=KEYS, source=KEYS)
    def drift(self, data: st.DataObject, amount: int, key: bytes, source: bytes) -> None:
        live = sorted(self.counted().items())
        if not live:
            return
        number, count = data.draw(st.sampled_from(live))
        stored = max(0, count + amount)
        for table, column in (("blob", "id"), ("inline", "blob")):
            self.conn.driver.execute(f"UPDATE {table} SET refs = {stored} WHERE {column} = {number}")
        (finding,) = self.found()
        assert f"{number:#x}" in finding.where
        if stored:
            self.copy(key=key, sources=[source], is_null=False)
        assert finding.repair is not None
        assert finding.repair(self.conn)

    @rule(data=st.data())
    def queue_something_live(self, data: st.DataObject) -> None:
        chunked = [row[0] for row in self.conn.driver.execute("SELECT id FROM blob WHERE refs > 0 ORDER BY id")]
        if chunked:
            number = data.draw(st.sampled_from(chunked))
            self.conn.driver.execute(f"INSERT INTO deletion (blob, due_at_ms, size) VALUES ({number}, 1, 5)")
            (finding,) = self.found()
            assert finding.kind is Kind.QUEUE
            assert finding.repair is not None
            assert finding.repair(self.conn)

    @invariant()
    def nothing_is_found_where_nothing_is_wrong(self) -> None:
        if hasattr(self, "conn"):
            assert self.found() == []


DriftMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestDrift = DriftMachine.TestCase
del ReferenceMachine  # its own test stands where it is made
