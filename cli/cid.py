"""`cyxcloud cid`: the content identity of a file, computed off-line as the store computes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import CommandError, JsonOption, explained, show
from cyxcloud.shards.cid import CidBuilder, LayoutError, cid_text, format_layout, parse_layout

READ_BYTES = 4 * 1024 * 1024


def cid(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file.", exists=True, dir_okay=False, readable=True)],
    layout: Annotated[
        str | None,
        typer.Option(metavar="SIZES", help="Part sizes as x-cyx-layout gives them, run-length coded."),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Print a file's CID, to compare with the x-cyx-cid header of the object.

    It names content and layout: an object that was uploaded in parts needs --layout.

    Examples:

      cyxcloud cid photo.jpg

      cyxcloud cid film.mkv --layout '16777216*63,5242880'
    """
    with explained():
        text, size, sizes = compute(file, layout)
    value = {"cid": text, "size": size, "layout": format_layout(sizes)}
    show(value, as_json=as_json, text=lambda console: console.print(text))


def compute(file: Path, layout: str | None) -> tuple[str, int, list[int]]:
    """The CID's text, the file's size and its part sizes."""
    try:
        sizes = parse_layout(layout) if layout is not None else None
        builder, size = CidBuilder(sizes), 0
        with file.open("rb", buffering=0) as source:
            while piece := source.read(READ_BYTES):
                builder.update(piece)
                size += len(piece)
        return cid_text(builder.finish()), size, sizes or [size]
    except LayoutError as error:
        raise CommandError(f"--layout: {error}; take it from the object's x-cyx-layout header") from None
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
