#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Reads the log of the device-mapper target log-writes, and judges the disk as it was at each flush and FUA.

log-writes.py LOG BASE SCRATCH COMMAND...: BASE is the disk's image from before the log began. SCRATCH becomes the disk at
one point after another; for each, COMMAND is run with a copy of it as the last word and must succeed. Prints the number of
points and of entries, and what failed.

The format is that of drivers/md/dm-log-writes.c: a superblock, then entries of one sector each, every one followed by its
data.
"""

import shutil
import struct
import subprocess
import sys

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
# The unit of sector numbers on the logged disk.
SECTOR = 512


def entries(log):
    """(sector, flags, data) of each entry; data is None for a discard."""
    magic, version, count, size = struct.unpack("<QQQI", log.read(28))
    if magic != MAGIC or version != 1:
        raise SystemExit("this is no log of log-writes")
    at = size
    for _ in range(count):
        log.seek(at)
        sector, sectors, flags, _ = struct.unpack("<QQQQ", log.read(32))
        at += size
        if flags & DISCARD:
            yield sector, sectors, flags, None
            continue
        # A mark's text stands in the entry's own sector.
        data = b"" if flags & MARK else read_exactly(log, at, sectors * size)
        at += len(data)
        yield sector, sectors, flags, data


def read_exactly(log, at, length):
    """Bytes of the log."""
    log.seek(at)
    data = log.read(length)
    if len(data) != length:
        raise SystemExit("the log ends in an entry")
    return data


def judge(scratch, command, copy):
    """Runs the command on a copy; answers what it said if it failed."""
    shutil.copyfile(scratch, copy)
    done = subprocess.run([*command, copy], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return None if done.returncode == 0 else done.stdout


def main():
    """The command line."""
    log_path, base, scratch, *command = sys.argv[1:]
    shutil.copyfile(base, scratch)
    points = failures = number = 0
    with open(log_path, "rb") as log, open(scratch, "r+b") as disk:
        for number, (sector, sectors, flags, data) in enumerate(entries(log)):
            # What is in the log before a flush had ended before it.
            moments = ["flush"] if flags & FLUSH else []
            moments += ["write"]
            # A FUA write is durable itself.
            moments += ["FUA"] if flags & FUA else []
            for moment in moments:
                if moment == "write":
                    disk.seek(sector * SECTOR)
                    disk.write(bytes(sectors * SECTOR) if data is None else data)
                    continue
                disk.flush()
                points += 1
                said = judge(scratch, command, scratch + ".copy")
                if said is not None:
                    failures += 1
                    if failures > 3:
                        continue
                    print(f"entry {number}, {moment}: {said}")
    print(f"{points} points in {number + 1} entries, {failures} failed")
    return 1 if failures or not points else 0


if __name__ == "__main__":
    sys.exit(main())
