"""The C library's habits with memory that is freed."""

import ctypes
import sys
from functools import cache


@cache
def keep_freed_memory() -> None:
    """Tell the C library to keep freed memory for the next step instead of returning it.

    Otherwise every step of a CPU run faults all its temporary pages in again. The cost
    is that the process stays as large as it was at its peak, so this is for programs that
    train, never for a mere import. Numbers do not change. glibc only; elsewhere nothing
    happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, -1)
    mallopt(top_pad, 64 << 20)
