"""Exchanging two names in one step, so that nobody ever finds neither."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2

UNKNOWN = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
"""What systems and file systems answer that cannot."""


def exchange(one: Path, other: Path) -> bool:
    """Swap what two paths name, atomically; False where the system or file system cannot.

    Source: renameat2(2), Linux 3.15 and glibc 2.28.
    """
    if sys.platform != "linux":
        return False
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    names = (ctypes.c_char_p(os.fsencode(path)) for path in (one, other))
    first, second = names
    if function(AT_FDCWD, first, AT_FDCWD, second, ctypes.c_uint(RENAME_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(other))
