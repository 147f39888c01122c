#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The part of tools/bench/io that runs in the guest: operations on a fresh file system, counted by the block layer.

Read-modify operations run on files that were written and synced before the counting begins. The counting ends with the
last operation: what is committed later in the background is not in it, but for the last row, which is synced at its end.
"""

import os
import subprocess
import sys

MOUNT = "/mnt"


def counters(disk):
    """Bios written, KiB written and flushes so far (Documentation/block/stat.rst of Linux)."""
    with open(f"/sys/block/{disk}/stat", encoding="ascii") as file:
        fields = [int(word) for word in file.read().split()]
    return fields[4], fields[6] / 2, fields[15]


def path(name):
    """A name below the mount point."""
    return os.path.join(MOUNT, name)


def append_fsync(count):
    """One file grows block by block."""
    fd = os.open(path("appended"), os.O_CREAT | os.O_WRONLY)
    os.fsync(fd)
    yield
    for _ in range(count):
        os.write(fd, b"a" * 4096)
        os.fsync(fd)
    os.close(fd)


def overwrite(sync):
    """Blocks that are there, in an order that is not sequential."""

    def operation(count):
        fd = os.open(path(f"overwritten-{sync.__name__}"), os.O_CREAT | os.O_RDWR)
        os.write(fd, b"o" * 4096 * 1024)
        os.fsync(fd)
        os.sync()
        yield
        for number in range(count):
            os.pwrite(fd, b"p" * 4096, number * 389 % 1024 * 4096)
            sync(fd)
        os.close(fd)

    return operation


def create_fsync(count):
    """Small new files, each made durable."""
    os.mkdir(path("created"))
    os.sync()
    yield
    for number in range(count):
        fd = os.open(path(f"created/{number}"), os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"hello world\n")
        os.fsync(fd)
        os.close(fd)


def replace(count):
    """What editors do: a new file, fsynced, renamed over the old."""
    with open(path("replaced"), "wb") as file:
        file.write(b"old")
    os.sync()
    yield
    for _ in range(count):
        fd = os.open(path("new"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.write(fd, b"n" * 4096)
        os.fsync(fd)
        os.close(fd)
        os.rename(path("new"), path("replaced"))


def create_many(_count):
    """A thousand empty files and one sync."""
    os.mkdir(path("many"))
    os.sync()
    yield
    for number in range(1000):
        os.close(os.open(path(f"many/{number}"), os.O_CREAT | os.O_WRONLY))
    os.sync()


OPERATIONS = [
    ("append 4 KiB + fsync", append_fsync, None),
    ("overwrite 4 KiB + fsync", overwrite(os.fsync), None),
    ("overwrite 4 KiB + fdatasync", overwrite(os.fdatasync), None),
    ("create + write 12 bytes + fsync", create_fsync, None),
    ("write new + fsync + rename over old", replace, None),
    ("create, no sync (1000)", create_many, 1000),
]


def measure(file_system, device, count):
    """A row of (bios, KiB, flushes) per operation for each."""
    if file_system != "rext4":
        subprocess.run(["modprobe", file_system], check=True)
    subprocess.run(["wipefs", "-qa", device], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", device], check=True)
    options = ["-o", "noinit_itable"] if file_system == "ext4" else []
    subprocess.run(["mount", "-t", file_system, *options, device, MOUNT], check=True)
    disk = os.path.basename(device)
    rows = []
    for _, operation, times in OPERATIONS:
        steps = operation(count)
        next(steps)
        before = counters(disk)
        for _ in steps:
            pass
        after = counters(disk)
        rows.append([(late - early) / (times or count) for early, late in zip(before, after)])
    subprocess.run(["umount", MOUNT], check=True)
    check = subprocess.run(["e2fsck", "-fn", device], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check.returncode:
        print(f"e2fsck -fn after {file_system}:\n{check.stdout}")
        sys.exit(1)
    return rows


def main():
    """Measures and prints the table."""
    device, count, file_systems = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    results = [measure(file_system, device, count) for file_system in file_systems]
    heads = ["bios", "KiB written", "flushes"]
    print("| operation | " + " | ".join(f"{head}, {name}" for head in heads for name in file_systems) + " |")
    print("| --- |" + " ---: |" * (len(heads) * len(file_systems)))
    for number, (title, _, times) in enumerate(OPERATIONS):
        digits = 3 if times else 2
        cells = [f"{rows[number][column]:.{digits}f}" for column in range(3) for rows in results]
        print(f"| {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
