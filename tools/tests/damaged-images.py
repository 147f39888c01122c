#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""In a guest: mounts each image of an archive with rext4, walks over it, reads everything, changes a little, unmounts.

damaged-images.py ARCHIVE DISK. The archive is made by `damage images` (tools/hostile), which says what is in it. Prints
KTAP; which image is in use is in the kernel log.
"""

import ctypes
import fcntl
import glob
import os
import struct
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
MNT = b"/mnt"
MS_RDONLY = 1
BLKFLSBUF = 0x1261
ENTRIES = 400
READ = 16384


def mount(disk, read_only, options):
    """Whether it could be mounted."""
    return LIBC.mount(disk.encode(), MNT, b"rext4", MS_RDONLY if read_only else 0, options.encode()) == 0


def commit_threads():
    """How many journals run."""
    names = []
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                names.append(file.read())
        except OSError:
            pass  # It has ended.
    return sum(name.startswith("rext4-journal") for name in names)


def unmount():
    """Whether it could be unmounted; whoever still holds it is given a little time."""
    for _ in range(20):
        if LIBC.umount2(MNT, 0) == 0:
            return True
        time.sleep(0.1)
    return False


class Tries:
    """Counts what was done and what was refused."""

    def __init__(self):
        self.done = self.refused = 0

    def __call__(self, call, *arguments):
        try:
            result = call(*arguments)
            self.done += 1
            return result
        except OSError:
            self.refused += 1
            return None


def write(path, at, data, flags=0):
    """Writes into a file that may be new, and makes it durable."""
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | flags, 0o644)
    try:
        os.pwrite(fd, data, at)
        os.fsync(fd)
    finally:
        os.close(fd)


def read(path):
    """Some of a file's beginning and what follows its first hole."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        os.pread(fd, READ, 0)
        hole = os.lseek(fd, 0, os.SEEK_HOLE)
        os.pread(fd, READ, os.lseek(fd, hole, os.SEEK_DATA))
    finally:
        os.close(fd)


def walk(tries):
    """Everything that can be reached, as far as ENTRIES go. The VFS refuses circles."""
    queue, seen = ["/mnt"], 0
    while queue and seen < ENTRIES:
        folder = queue.pop()
        names = tries(os.listdir, folder) or []
        for name in names[:ENTRIES]:
            seen += 1
            path = os.path.join(folder, name)
            # A long directory's names are all the same file.
            if seen % 7 and len(names) > 100:
                continue
            status = tries(os.lstat, path)
            if status is None:
                continue
            kind = status.st_mode & 0o170000
            if kind == 0o040000 and path.count("/") < 9:
                queue.append(path)
            elif kind == 0o100000:
                tries(read, path)
            elif kind == 0o120000:
                tries(os.readlink, path)
            for attribute in tries(os.listxattr, path) or []:
                tries(os.getxattr, path, attribute)


def attributes(tries, path):
    """Changes the permissions, which an access control list follows, then removes what is listed, the last first."""
    status = tries(os.lstat, path)
    # A damaged name may be a symbolic link to anywhere.
    if status is None or status.st_mode & 0o170000 == 0o120000:
        return
    for mode in (0o707, 0o070, status.st_mode & 0o7777):
        tries(os.chmod, path, mode)
    for attribute in reversed(tries(os.listxattr, path) or []):
        tries(os.removexattr, path, attribute)


def change(tries):
    """A little of everything."""
    data = b"\xd7" * 9000
    tries(write, "/mnt/new-file", 0, data, os.O_CREAT)
    tries(os.mkdir, "/mnt/new-dir")
    tries(os.symlink, "s" * 200, "/mnt/new-dir/link")
    tries(write, "/mnt/plain", 100, data[:3000])
    tries(write, "/mnt/pieces", 2048, data)
    tries(write, "/mnt/a/b/few", 0, data[:5000])
    tries(write, "/mnt/a/again", 60000, data[:100])
    tries(os.link, "/mnt/plain", "/mnt/large/one-more")
    for n in range(8):
        tries(os.link, "/mnt/plain", f"/mnt/large/{'another' * 30}{n}")
    tries(os.rename, "/mnt/a/b/few", "/mnt/new-dir/few")
    tries(os.rename, "/mnt/new-dir", "/mnt/a/b/moved")
    tries(os.rename, "/mnt/a", "/mnt/a/b/below")
    tries(os.unlink, "/mnt/long")
    tries(os.rmdir, "/mnt/a/empty")
    tries(os.truncate, "/mnt/pieces", 30000)
    tries(os.sync)
    tries(os.truncate, "/mnt/a/b/moved/few", 100000)
    for name in (tries(os.listdir, "/mnt/large") or [])[::15]:
        tries(os.unlink, f"/mnt/large/{name}")
    tries(os.unlink, "/mnt/pieces")
    tries(os.statvfs, "/mnt")
    for path in ("plain", "a", "a/b/moved/few", "large", "new-file"):
        attributes(tries, f"/mnt/{path}")
    tries(os.sync)


def number(path):
    """The number in a file of the kernel."""
    with open(path, encoding="ascii") as file:
        return int(file.read())


class Archive:
    """The seeds and the images of an archive."""

    def __init__(self, path):
        # It stays open: the images are read one after the other.
        self.file = open(path, "rb")  # pylint: disable=consider-using-with
        self.seeds = [self.file.read(self.word()) for _ in range(self.word())]
        self.count = self.word()

    def word(self):
        """A number."""
        return struct.unpack("<I", self.file.read(4))[0]

    def images(self):
        """Number, mode and contents of each."""
        for _ in range(self.count):
            image, seed, mode, changes = (self.word() for _ in range(4))
            contents = bytearray(self.seeds[seed])
            for _ in range(changes):
                at = self.word() * 1024
                contents[at : at + 1024] = self.file.read(1024)
            yield image, mode, contents


def put(disk, contents):
    """An image onto the disk, where nothing of the last one is remembered."""
    fd = os.open(disk, os.O_RDWR)
    try:
        os.pwrite(fd, contents, 0)
        os.fsync(fd)
        fcntl.ioctl(fd, BLKFLSBUF, 0)
    finally:
        os.close(fd)


def main():
    """See the top."""
    archive, disk = Archive(sys.argv[1]), sys.argv[2]
    tries, mounted, begin = Tries(), 0, time.monotonic()
    stuck = tainted = None
    before = number("/proc/sys/kernel/tainted")
    log = open("/dev/kmsg", "w", encoding="ascii", buffering=1)  # pylint: disable=consider-using-with
    for count, (image, mode, contents) in enumerate(archive.images(), 1):
        print(f"image {image}", file=log)
        put(disk, contents)
        errors = "remount-ro" if mode & 0x40 else "continue"
        if mount(disk, mode & 0x38 == 0x38, f"errors={errors},verify"):
            mounted += 1
            walk(tries)
            change(tries)
            if not unmount():
                stuck = image
                break
        if number("/proc/sys/kernel/tainted") != before:
            tainted = image
            break
        if count % 100 == 0:
            print(f"# {count} images, {time.monotonic() - begin:.0f} s", flush=True)
    print(
        f"# {count} images, {mounted} could be mounted; {tries.done} calls succeeded, {tries.refused} failed; "
        f"{time.monotonic() - begin:.0f} s"
    )
    results = [
        (count == archive.count and mounted > count // 3, f"{archive.count} damaged images were mounted or refused"),
        (stuck is None, "all could be unmounted" if stuck is None else f"image {stuck} could not be unmounted"),
        (commit_threads() == 0, "no commit thread is left"),
        (tainted is None, "no kernel warning" if tainted is None else f"image {tainted} made the kernel warn"),
    ]
    for n, (good, what) in enumerate(results, 1):
        print(f"{'ok' if good else 'not ok'} {n} - {what}")
    return not all(good for good, _ in results)


if __name__ == "__main__":
    sys.exit(main())
