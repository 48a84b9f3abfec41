"""`python -m conformance`: outside suites against an endpoint."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from cli.options import CommandError
from conformance import s3tests, users
from conformance.clients import matrix


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    commands = parser.add_subparsers(required=True)

    provision = commands.add_parser("provision", help="create all the users of an s3tests.conf file in a store")
    provision.add_argument("conf", type=Path, metavar="CONF")
    provision.add_argument("--data", type=Path, required=True, metavar="DIR")
    provision.set_defaults(do=_provision)

    run = commands.add_parser("s3tests", help="run ceph's s3-tests and compare with the list of expected passes")
    run.add_argument("suite", metavar="SUITE", help="a checkout of ceph/s3-tests, or a git repository or URL of it")
    run.add_argument("--endpoint", required=True, metavar="URL")
    run.add_argument("--data", type=Path, metavar="DIR", help="our store's folder: the suite's users are made there")
    run.add_argument("--conf", type=Path, metavar="CONF", help="use this s3tests.conf instead of the suite's sample")
    run.add_argument("--file", action="append", default=[], metavar="test_s3.py")
    run.add_argument("-k", dest="keyword", default="", metavar="EXPRESSION")
    run.add_argument("-m", dest="marks", default="", metavar="MARKS")
    run.add_argument("--workers", type=int, default=4, help="tests side by side")
    run.add_argument("--timeout", type=int, default=120, help="seconds a test may take")
    run.add_argument("--python", default=sys.executable, help="an interpreter that has what the suite needs")
    run.add_argument("--out", type=Path, metavar="FILE", help="write every outcome as JSON")
    run.add_argument("--accept", action="store_true", help="add what newly passes to the list of expected passes")
    run.set_defaults(do=_s3tests)

    table = commands.add_parser("clients", help="write docs/clients.md from the outcomes of `make clients`")
    table.add_argument("outcomes", type=Path, metavar="FILE")
    table.add_argument("--out", type=Path, default=Path("docs/clients.md"), metavar="FILE")
    table.set_defaults(do=_clients)

    arguments = parser.parse_args()
    try:
        code: int = arguments.do(arguments)
    except CommandError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1
    return code


def _provision(arguments: argparse.Namespace) -> int:
    for user in users.provision(arguments.conf, arguments.data):
        print(user)
    return 0


def _s3tests(arguments: argparse.Namespace) -> int:
    missing = s3tests.missing_modules(arguments.python)
    if missing:
        raise CommandError(f"{arguments.python} lacks {', '.join(missing)}: install the suite's requirements.txt there")
    options = s3tests.Options(
        endpoint=arguments.endpoint,
        files=arguments.file,
        keyword=arguments.keyword,
        marks=arguments.marks,
        workers=arguments.workers,
        timeout=arguments.timeout,
        python=arguments.python,
    )
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch, s3tests.suite_folder(arguments.suite) as suite:
        conf = arguments.conf or Path(scratch, "s3tests.conf")
        if arguments.conf is None:
            s3tests.write_conf(suite, arguments.endpoint, conf)
        if arguments.data is not None:
            users.provision(conf, arguments.data)
        outcomes = s3tests.run(suite, conf.resolve(), options)
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(each) for each in outcomes], indent=1) + "\n", "utf-8")
    return s3tests.report(outcomes, accept=arguments.accept)


def _clients(arguments: argparse.Namespace) -> int:
    arguments.out.write_text(matrix.page(json.loads(arguments.outcomes.read_text("utf-8"))), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
