#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Load for the subject stress: stress-load.py DIR SECONDS SEED [OWN].

Processes of random operations on few files, so that they meet: writing, reading, mapping, direct I/O, truncation, renames,
links, sync in all forms. Errors of the system are part of it; what a process reads of a block that only it writes is not
allowed to differ. Its own file has up to 100 blocks; or OWN blocks, all written at first, then up to a 24th of them at a time.

With REXT4_FAULTS set faults are being injected: anything may fail, and what was written may be lost if a sync tells of it.
"""

import errno
import mmap
import multiprocessing
import os
import random
import subprocess
import sys
import time

BLOCK = 4096
# What each may answer when others change names and sizes meanwhile, or when memory or space runs short.
EXPECTED = {
    errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOSPC, errno.ENOMEM, errno.EINVAL, errno.ENOTDIR, errno.EISDIR,
    errno.EPERM, errno.EAGAIN, errno.EMLINK,
}  # fmt: skip
# What none answers unless memory runs short or the disk fails.
DISTURBED = {errno.ENOMEM, errno.EIO, errno.EROFS}
FAULTS = "REXT4_FAULTS" in os.environ
OWN = int(sys.argv[4]) if len(sys.argv) > 4 else 100
STRIDE = max(1, OWN // 24)
FILL = OWN if len(sys.argv) > 4 else 0


def collided(work, error):
    """Whether it is what the kernel tells a sync when a store to a mapping came in the middle of a direct write."""
    if work.__name__ != "sync" or getattr(error, "errno", None) != errno.EIO:
        return False
    log = subprocess.run(["dmesg"], check=True, capture_output=True, text=True).stdout
    return "Page cache invalidation failure on direct I/O" in log


class Worker:
    """One process."""

    def __init__(self, base, number, seed):
        self.number = number
        self.rng = random.Random(f"{seed} {number}")
        self.shared = [os.path.join(base, f"shared-{n}") for n in range(4)]
        self.names = os.path.join(base, "names")
        self.own_path = os.path.join(base, f"own-{number}")
        # What the own file holds, block by block: the byte that fills it. A write that fails may be there in part.
        self.blocks = {}
        self.compared = 0

    def open(self, path, flags=0):
        """A shared file."""
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o644)

    def write(self, fd):
        """Unaligned, through the page cache."""
        os.pwrite(fd, os.urandom(self.rng.randint(1, 40000)), self.rng.randint(0, 600000))

    def read(self, fd):
        """The same."""
        os.pread(fd, self.rng.randint(1, 100000), self.rng.randint(0, 600000))

    def direct(self, _fd):
        """Aligned, around the page cache, of a file that others have cached and mapped."""
        fd = self.open(self.rng.choice(self.shared), os.O_DIRECT)
        try:
            area = mmap.mmap(-1, BLOCK * self.rng.randint(1, 8))
            offset = BLOCK * self.rng.randint(0, 150)
            if self.rng.random() < 0.5:
                os.pwritev(fd, [area], offset)
            else:
                os.preadv(fd, [area], offset)
        finally:
            os.close(fd)

    def mapped(self, fd):
        """Changes a mapping within the size that the file has now; a child takes the signal if that shrinks."""
        size = os.fstat(fd).st_size
        if size < BLOCK:
            return
        child = os.fork()
        if child == 0:
            try:
                area = mmap.mmap(fd, size)
                for _ in range(4):
                    at = self.rng.randrange(size)
                    area[at] = at & 255
                if self.rng.random() < 0.5:
                    area.flush()
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    def truncate(self, fd):
        """Against writeback and mappings."""
        os.ftruncate(fd, self.rng.choice([0, 1, 4095, 4096, 100000, self.rng.randint(0, 700000)]))

    def sync(self, fd):
        """In all its forms."""
        self.rng.choice([os.fsync, os.fdatasync, os.fsync, lambda _: os.sync()])(fd)

    def name(self):
        """One of few names in few directories."""
        return os.path.join(self.names, f"d{self.rng.randint(0, 2)}", f"n{self.rng.randint(0, 30)}")

    def rename(self, _fd):
        """Loops of renames, links and directories that come and go."""
        kind, one, other = self.rng.randint(0, 6), self.name(), self.name()
        if kind == 0:
            os.close(self.open(one))
        elif kind == 1:
            os.link(one, other)
        elif kind == 2:
            os.mkdir(one)
        elif kind == 3:
            (os.rmdir if os.path.isdir(one) else os.unlink)(one)
        else:
            os.rename(one, other)

    def own(self, call, data, at):
        """Opens the own file in one of two ways and reads or writes there; answers how many bytes that were."""
        fd = self.open(self.own_path, self.rng.choice([0, os.O_DIRECT]))
        try:
            return call(fd, [data], at * BLOCK)
        finally:
            os.close(fd)

    def write_own(self, at, count):
        """Fills blocks of the own file with a byte."""
        byte = self.rng.randint(1, 255)
        data = mmap.mmap(-1, count * BLOCK)
        data.write(bytes([byte]) * len(data))
        for block in range(at, at + count):
            self.blocks.pop(block, None)
        written = self.own(os.pwritev, data, at)
        self.blocks.update((block, byte) for block in range(at, at + written // BLOCK))

    def check_own(self, _fd):
        """Writes blocks of the own file by one way and reads others by any."""
        count = self.rng.randint(1, STRIDE)
        self.write_own(self.rng.randint(0, OWN - count), count)
        data = mmap.mmap(-1, count * BLOCK)
        at = self.rng.choice(list(self.blocks))
        for block in range(self.own(os.preadv, data, at) // BLOCK):
            known, found = self.blocks.get(at + block), data[block * BLOCK : (block + 1) * BLOCK]
            if known is None:
                continue
            if found != bytes([known]) * BLOCK:
                self.differs(at + block)
                return
            self.compared += 1

    def differs(self, block):
        """Only where faults are injected, and if a sync tells of them."""
        while FAULTS:
            try:
                self.own(lambda fd, *_: os.fsync(fd), None, 0)
                break
            except OSError as error:
                if error.errno != errno.ENOMEM:
                    self.blocks.clear()
                    return
        print(f"process {self.number}: block {block} of its own file is not what it wrote", flush=True)
        os._exit(3)

    def run(self, end):
        """Until the end."""
        works = [self.write, self.write, self.read, self.direct, self.mapped, self.truncate, self.sync, self.rename]
        works += [self.rename, self.check_own, self.check_own]
        done = failed = 0
        fd, work = None, self.write_own
        while time.monotonic() < end:
            try:
                if done * STRIDE < FILL:
                    self.write_own(done * STRIDE, min(STRIDE, FILL - done * STRIDE))
                else:
                    work = self.open
                    fd = self.open(self.rng.choice(self.shared))
                    work = self.rng.choice(works)
                    work(fd)
            except (OSError, MemoryError, IndexError) as error:
                failed += isinstance(error, MemoryError) or getattr(error, "errno", None) in DISTURBED
                if not FAULTS and getattr(error, "errno", None) not in EXPECTED and not collided(work, error):
                    print(f"process {self.number}: {work.__name__}: {error}", flush=True)
                    os._exit(2)
            if fd is not None:
                os.close(fd)
                fd = None
            done += 1
        print(f"process {self.number}: {done} operations, {failed} failed, {self.compared} blocks compared", flush=True)


def main():
    """See the top."""
    base, seconds, seed = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    for n in range(3):
        os.makedirs(os.path.join(base, "names", f"d{n}"), exist_ok=True)
    end = time.monotonic() + seconds
    workers = [Worker(base, number, seed) for number in range(8)]
    processes = [multiprocessing.Process(target=worker.run, args=(end,)) for worker in workers]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))


if __name__ == "__main__":
    main()
