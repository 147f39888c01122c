#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Load for the subject crash, in both directions.

crash-load.py write DIR SEED: changes files in DIR until it is killed. A line on stdout is a promise: what it names was
synced before and must be there after the guest died.
crash-load.py verify DIR PROMISES: checks what is in DIR against the promises; prints what is missing, and at last how many
bytes it has compared and found.
"""

import os
import random
import shutil
import sys
import threading

LINE = 64


def contents(name, generation, start, end):
    """The bytes from start to end of a file: lines that name their file, generation and place."""
    first = start // LINE
    lines = (f"{name} {generation} {n}".ljust(LINE - 1, ".") + "\n" for n in range(first, (end + LINE - 1) // LINE))
    return "".join(lines).encode()[start - first * LINE : end - first * LINE]


def promise(*words):
    """Tells the host, in one piece."""
    os.write(1, ("PROMISE " + " ".join(str(word) for word in words) + "\n").encode())


def write_whole(path, data):
    """A new file, synced."""
    with open(path, "wb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())


def append(rng, base, _tag):
    """Appends to a few files and syncs each time."""
    names = [f"append-{n}" for n in range(4)]
    for name in names:
        # Behind what was synced before the last crash there may be anything of the file's own.
        path = os.path.join(base, name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                found = file.read()
            good = os.path.commonprefix([found, contents(name, 0, 0, len(found))])
            os.truncate(path, len(good))
    while True:
        name = rng.choice(names)
        path = os.path.join(base, name)
        with open(path, "ab", buffering=0) as file:
            # What was not promised may be shorter or longer than it was.
            size = os.fstat(file.fileno()).st_size
            more = contents(name, 0, size, size + rng.randint(1, 20000))
            file.write(more)
            (os.fsync if rng.random() < 0.5 else os.fdatasync)(file.fileno())
            promise("prefix", name, size + len(more))


def small(rng, base, tag):
    """Small files in directories that come and go."""
    count = 0
    while True:
        folder = f"folder-{tag}-{count // 40}"
        os.makedirs(os.path.join(base, folder), exist_ok=True)
        name = f"{folder}/a-small-file-with-some-name-{count}"
        size = rng.randint(0, 3000)
        write_whole(os.path.join(base, name), contents(name, 0, 0, size))
        promise("prefix", name, size)
        if rng.random() < 0.3:
            promise("forget", name)
            os.unlink(os.path.join(base, name))
        count += 1


def replace(rng, base, tag):
    """Files written anew and renamed over the old ones: old or new, but whole."""
    generation = 0
    while True:
        generation += 1
        name = f"replaced-{rng.randint(0, 3)}"
        stamp = f"{tag}-{generation}"
        data = contents(name, stamp, 0, 1000 + rng.randint(0, 30) * LINE)
        write_whole(os.path.join(base, name + ".new"), data)
        os.rename(os.path.join(base, name + ".new"), os.path.join(base, name))


def churn(rng, base, tag):
    """Everything else, without promises."""
    for n in range(1 << 30):
        path = os.path.join(base, f"churn-{tag}-{n % 25}")
        kind = rng.randint(0, 6)
        try:
            if kind <= 2:
                with open(path, "r+b" if os.path.exists(path) else "w+b", buffering=0) as file:
                    file.seek(rng.randint(0, 400000))
                    file.write(os.urandom(rng.randint(1, 60000)))
                    if rng.random() < 0.3:
                        file.truncate(rng.randint(0, 300000))
            elif kind == 3:
                os.rename(path, path + "-moved")
            elif kind == 4:
                os.link(path, path + f"-link-{n}")
            elif kind == 5:
                with open(path, "rb"):
                    os.unlink(path)
                    if rng.random() < 0.1:
                        os.sync()
            else:
                os.symlink("x" * rng.randint(1, 200), path + f"-symlink-{n % 9}")
        except OSError:
            pass


def great(rng, base, tag):
    """Trees of hundreds of nodes and directories of hundreds of blocks, which come and go at once: many revocations."""
    path, folder = os.path.join(base, f"great-{tag}"), os.path.join(base, f"great-folder-{tag}")
    stride = 2 * os.statvfs(base).f_bsize
    while True:
        try:
            with open(path, "wb", buffering=0) as file:
                for n in range(rng.randint(500, 4000)):
                    os.pwrite(file.fileno(), b"x", n * stride)
                os.fsync(file.fileno())
                file.truncate(rng.choice([0, stride, 100 * stride]))
            os.makedirs(folder, exist_ok=True)
            names = [os.path.join(folder, f"{n}-{'long' * 50}") for n in range(rng.randint(100, 1000))]
            for name in names:
                os.link(path, name)
            os.sync()
            os.unlink(path)
            for name in names:
                os.unlink(name)
            os.rmdir(folder)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)


def write(base, seed):
    """Runs all kinds of load until the end."""
    tag = seed
    for number, work in enumerate((append, small, replace, churn, great)):
        rng = random.Random(f"{seed} {number}")
        threading.Thread(target=work, args=(rng, base, tag), daemon=True).start()
    threading.Event().wait()


def verify(base, promises):
    """Whether every promise is kept and every replaced file is whole; answers what is wrong, and the bytes that are right."""
    wanted, good = {}, 0
    for line in promises:
        kind, name, *rest = line.split()
        if kind == "forget":
            wanted.pop(name, None)
        else:
            wanted[name] = max(wanted.get(name, 0), int(rest[0]))
    wrong = []
    for name, size in wanted.items():
        try:
            with open(os.path.join(base, name), "rb") as file:
                found = file.read()
        except OSError as error:
            wrong.append(f"{name}: {error}")
            continue
        if found[:size] == contents(name, 0, 0, size):
            good += size
        else:
            wrong.append(f"{name}: {len(found)} bytes, of which {size} were synced, are not what was written")
    for number in range(4):
        name = f"replaced-{number}"
        path = os.path.join(base, name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                found = file.read()
            words = found.split(b" ", 2)
            stamp = words[1].decode() if len(words) > 2 else ""
            if not found or found != contents(name, stamp, 0, len(found)) or len(found) < 1000:
                wrong.append(f"{name}: neither the old contents nor the new ({len(found)} bytes)")
    return wrong, good


def main():
    """See the top."""
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3])
    with open(sys.argv[3], encoding="utf-8") as file:
        wrong, good = verify(sys.argv[2], file.read().splitlines())
    for line in wrong:
        print(line)
    print(f"{good} bytes")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
