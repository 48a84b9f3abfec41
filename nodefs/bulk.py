"""Big reads of packs past the page cache: scrub must see the disk, not memory, and leave the cache to requests."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os

from cyxcloud.core.durable import DISK, Disk
from nodefs.pack import Pack
from nodefs.record import ALIGN_BYTES, aligned

# Longer than any record, so that each is whole in a window that begins with it.
WINDOW_BYTES = 8 << 20


class BulkReader:
    """One buffer, used again for each read: for one thread at a time."""

    def __init__(self, disk: Disk = DISK) -> None:
        self._disk = disk
        pages = mmap.mmap(-1, WINDOW_BYTES)  # aligned, as O_DIRECT wants it
        with contextlib.suppress(OSError):  # a kernel without huge pages
            pages.madvise(mmap.MADV_HUGEPAGE)
        self._buffer = memoryview(pages)

    def read(self, pack: Pack, offset: int, size: int) -> memoryview:
        """Up to a window from here, valid until the next read; shorter where the file ends.

        Pages that cannot be read are zeros.
        """
        view = self._buffer[: min(WINDOW_BYTES, aligned(size))]
        fd = pack.open_to_read(os.O_DIRECT)
        if fd is not None:
            try:
                return view[: self._fill(fd, view, offset)][:size]
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
            finally:
                self._disk.close(fd)
        # Through the page cache, where the filesystem knows no other way or the path is another file's.
        return view[: self._fill(pack.fd, view, offset)][:size]

    def _fill(self, fd: int, view: memoryview, offset: int) -> int:
        try:
            return self._read_all(fd, view, offset)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return self._page_by_page(fd, view, offset)

    def _read_all(self, fd: int, view: memoryview, offset: int) -> int:
        done = 0
        while done < len(view):
            read = self._disk.preadv(fd, [view[done:]], offset + done)
            done += read
            if read == 0 or read % ALIGN_BYTES:
                break
        return done

    def _page_by_page(self, fd: int, view: memoryview, offset: int) -> int:
        """Around the sectors that cannot be read: only the records on them are bad."""
        done = 0
        while done < len(view):
            page = view[done : done + ALIGN_BYTES]
            try:
                read = self._disk.preadv(fd, [page], offset + done)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                page[:] = bytes(len(page))
                read = len(page)
            done += read
            if read < ALIGN_BYTES:
                break
        return done
