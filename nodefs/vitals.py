"""How busy this box is, as the kernel tells it in /proc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """In ticks since the box started."""

    idle: int
    total: int


def parse_cpu(stat: str) -> CpuTimes:
    """The first line of /proc/stat: user nice system idle iowait irq softirq steal (guests are counted in user)."""
    fields = [int(field) for field in stat.partition("\n")[0].split()[1:9]]
    return CpuTimes(idle=sum(fields[3:5]), total=sum(fields))


def cpu_percent(before: CpuTimes, after: CpuTimes) -> float:
    passed = after.total - before.total
    return 100.0 * (1 - (after.idle - before.idle) / passed) if passed > 0 else 0.0


def memory_percent(meminfo: str) -> float:
    """What is neither free nor given back on demand."""
    fields = {name: rest for name, _, rest in (line.partition(":") for line in meminfo.splitlines())}
    total, available = (int(fields[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return 100.0 * (total - available) / total


class Vitals:
    """Each question is answered for the time since the one before."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._before = self._cpu()

    def cpu_percent(self) -> float:
        before, self._before = self._before, self._cpu()
        return cpu_percent(before, self._before)

    def memory_percent(self) -> float:
        return memory_percent((self._proc / "meminfo").read_text())

    def _cpu(self) -> CpuTimes:
        return parse_cpu((self._proc / "stat").read_text())
