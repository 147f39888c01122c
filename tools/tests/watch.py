#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Watches /mnt with fanotify: the first error that it is told of goes into "seen", as errno/count:inode. "watching" says whether
it could begin.
"""

import ctypes
import os
import struct

# linux/fanotify.h
FAN_REPORT_FID, FAN_FS_ERROR, FAN_MARK_ADD, FAN_MARK_FILESYSTEM = 0x200, 0x8000, 1, 0x100
AT_FDCWD, METADATA, INFO_FID, INFO_ERROR = -100, 24, 1, 5


def tell(name, text):
    """Makes a file with this text."""
    with open(name, "w", encoding="ascii") as file:
        file.write(text)


def begin():
    """The group that waits for errors."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.fanotify_init(FAN_REPORT_FID, os.O_RDONLY)
    mark = libc.fanotify_mark
    mark.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]
    if fd < 0 or mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_FS_ERROR, AT_FDCWD, b"/mnt"):
        tell("watching", "no")
        raise SystemExit(os.strerror(ctypes.get_errno()))
    tell("watching", "yes")
    return fd


def describe(event):
    """What the event's records say."""
    at, end, error, ino = METADATA, struct.unpack_from("<I", event)[0], (0, 0), 0
    while at < end:
        kind, _, length = struct.unpack_from("<BBH", event, at)
        if kind == INFO_ERROR:
            error = struct.unpack_from("<iI", event, at + 4)
        elif kind == INFO_FID:
            size, form = struct.unpack_from("<Ii", event, at + 12)
            ino = struct.unpack_from("<I", event, at + 20)[0] if form == 1 and size == 8 else 0
        at += length
    return f"{error[0]}/{error[1]}:{ino}\n"


if __name__ == "__main__":
    tell("seen", describe(os.read(begin(), 4096)))
