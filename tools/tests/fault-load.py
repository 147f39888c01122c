#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writers on a file system whose device will fail.

fault-load.py DIR SECONDS: four threads make, write, sync, rename and remove files below DIR, for SECONDS after some were
synced, of which the file `begun` tells. Prints how many operations were done, how many failed, and the errors' numbers;
`promises` gets a line for each file that was synced before the first error, and before there was a file `lying`, and never
touched again: its path, its size, and the byte it is full of.
"""

import os
import random
import sys
import threading
import time

root, seconds, end = sys.argv[1], float(sys.argv[2]), [float("inf")]
done, failed, numbers, promises = [0], [0], set(), []
trouble = threading.Event()


def once(rng, folder, number):
    """One file's life."""
    path = f"{folder}/file{number}"
    byte, size = rng.randrange(1, 256), rng.choice((100, 4096, 20000, 200000))
    keep = rng.random() < 0.3
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.write(fd, bytes([byte]) * size)
        if keep or rng.random() < 0.3:
            os.fsync(fd)
    finally:
        os.close(fd)
    if keep:
        if not trouble.is_set() and not os.path.exists("lying"):
            promises.append((path, size, byte))
        if len(promises) == 5:
            end[0] = min(end[0], time.monotonic() + seconds)
            with open("begun", "w", encoding="utf-8"):
                pass
        return
    os.rename(path, path + "-renamed")
    if rng.random() < 0.7:
        os.unlink(path + "-renamed")
    if rng.random() < 0.1:
        os.sync()


def work(seed):
    """A thread."""
    rng, number = random.Random(seed), 0
    folder = f"{root}/{seed}"
    while time.monotonic() < end[0]:
        number += 1
        try:
            os.makedirs(folder, exist_ok=True)
            once(rng, folder, number)
            done[0] += 1
        except OSError as error:
            trouble.set()
            failed[0] += 1
            numbers.add(error.errno)
            time.sleep(0.02)


threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with open("promises", "w", encoding="utf-8") as out:
    out.writelines(f"{path[len(root):]} {size} {byte}\n" for path, size, byte in promises)
print(f"{done[0]} done, {failed[0]} refused, errno {sorted(numbers)}")
