"""The files that every client carries to the store and back, and how both sides are compared.

A Python standard library is a real tree that every machine has: thousands of files, deep folders, big and empty ones.
Beside it stand names that break naive clients and servers.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sysconfig
from pathlib import Path

MIB = 1024 * 1024
SOME_PACKAGES = ("asyncio", "collections", "email", "encodings", "importlib", "json", "unittest", "xml")
LEFT_OUT = ("site-packages", "dist-packages", "__pycache__")
ODD_NAMES = (
    "with space.txt",
    "plus+sign.txt",
    "ümläut-ñ-ø.txt",
    "日本語/ファイル.txt",
    "crab-🦀.bin",
    "quote'single.txt",
    'quote"double.txt',
    "hash#fragment.txt",
    "percent%41%2F.txt",
    "amp&equals=semi;.txt",
    "tilde~at@colon:.txt",
    "dollar$paren(1)[2]{3}.txt",
    "comma,exclamation!.txt",
    "-leading-dash.txt",
    ".hidden",
    "trailing.dot.",
    "a/b/c/d/e/f/g/h/deep.txt",
    "x" * 200 + ".txt",
)


def make_tree(folder: Path, *, whole: bool) -> Path:
    """The tree in its full form or in a smaller one."""
    source = Path(sysconfig.get_path("stdlib"))
    if whole:
        shutil.copytree(source, folder / "lib", ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=False)
    else:
        for name in SOME_PACKAGES:
            shutil.copytree(source / name, folder / "lib" / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for number, name in enumerate(ODD_NAMES):
        path = folder / "odd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"odd name {number}: {name}\n".encode())
    (folder / "empty").mkdir()
    for number in range(5):
        (folder / "empty" / f"nothing-{number}").touch()
    for size in (1, 16 * 1024, 16 * 1024 + 1, 64 * 1024, MIB, 4 * MIB, 4 * MIB + 1):
        write_random(folder / "sizes" / f"{size}.bin", size)
    return folder


def write_random(path: Path, size: int) -> Path:
    """Bytes that do not compress, the same for the same size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    block = random.Random(size).randbytes(8 * MIB)
    with path.open("wb") as file:
        for at in range(0, size, len(block)):
            piece = block[: size - at]
            file.write(at.to_bytes(8)[: len(piece)] + piece[8:])
    assert path.stat().st_size == size
    return path


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path below the folder."""
    found: dict[str, str] = {}
    for top, _, files in os.walk(folder):
        for name in files:
            path = Path(top, name)
            found[path.relative_to(folder).as_posix()] = digest(path)
    return found
