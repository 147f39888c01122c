#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The guest's part of the subject recovery.

recovery-guest.py load DISK...: C ext4 under load on all disks until the guest is killed; prints ENOUGH when each has had
its share.
recovery-guest.py judge LIST: mounts pairs of images, which lie in /dev/vda, one with C ext4, the other with rext4;
prints a KTAP line for each pair. A line of LIST: NAME SIZE OFFSET_FOR_C OFFSET_FOR_REXT4.
"""

import hashlib
import os
import subprocess
import sys
import threading

# What a block of the journal begins with: such metadata must be escaped in the log.
MAGIC = b"\xc0\x3b\x39\x98"
SHARE = 300


def load_directory(base, number):
    """A directory whose blocks are freed again, with a target that must be escaped."""
    folder = os.path.join(base, b"dir%d" % (number % 7))
    os.makedirs(folder, exist_ok=True)
    for n in range(12):
        open(os.path.join(folder, b"n" * 120 + b"%d" % n), "wb").close()
    link = os.path.join(folder, b"link")
    if not os.path.lexists(link):
        os.symlink(MAGIC + b"%d" % number + b"t" * 500, link)
    if number % 3:
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)


def load_tree(base, number):
    """A file with nodes in its extent tree, cut and grown."""
    path = os.path.join(base, b"tree%d" % (number % 3))
    with open(path, "wb") as file:
        for n in range(30):
            file.seek(n * 16384)
            file.write(b"%d %d " % (number, n) * 300)
    if number % 2:
        os.truncate(path, 0)


def load_files(base, number):
    """Files that are written, synced, replaced and removed."""
    path = os.path.join(base, b"file%d" % (number % 9))
    with open(path + b".new", "wb") as file:
        file.write(b"%d " % number * (number % 5000))
        if number % 2 == 0:
            file.flush()
            os.fsync(file.fileno())
    os.rename(path + b".new", path)
    if number % 5 == 0:
        os.unlink(path)


def load(disks):
    """Runs the load on all disks."""
    done = [0] * len(disks)

    def work(n, base):
        for number in range(1 << 30):
            for kind in (load_directory, load_tree, load_files):
                try:
                    kind(base, number)
                except OSError as error:
                    print(f"LOAD {disks[n]}: {error}", flush=True)
            done[n] = number
            if min(done) >= SHARE:
                print("ENOUGH", flush=True)

    for n, disk in enumerate(disks):
        name, _, options = disk.partition(":")
        base = f"/run/{name}"
        os.makedirs(base)
        subprocess.run(["mount", "-t", "ext4", "-o", f"commit=1{options}", f"/dev/{name}", base], check=True)
        threading.Thread(target=work, args=(n, os.fsencode(base)), daemon=True).start()
    threading.Event().wait()


def tree(base):
    """Everything below a folder."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(base)):
        for name in folders + files:
            path = os.path.join(folder, name)
            about = os.lstat(path)
            data = b""
            if os.path.islink(path):
                data = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    data = file.read()
            facts = (about.st_mode, about.st_uid, about.st_gid, about.st_nlink, about.st_size, about.st_blocks)
            names = sorted(os.listxattr(path, follow_symlinks=False))
            attributes = tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
            found[path] = (*facts, about.st_mtime_ns, hashlib.sha1(data).hexdigest(), attributes)
    return found


def recover(kind, options, size, offset):
    """Mounts an image, reads it, unmounts and checks it; answers its tree and what went wrong."""
    attach = ["losetup", "-f", "--show", "-o", offset, "--sizelimit", size, "/dev/vda"]
    device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        done = subprocess.run(["mount", "-t", kind, *options, device, "/mnt"], capture_output=True, text=True)
        if done.returncode:
            return None, f"mount: {done.stderr.strip()}"
        try:
            found = tree("/mnt")
        finally:
            subprocess.run(["umount", "/mnt"], check=True)
        done = subprocess.run(["e2fsck", "-fn", device], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return found, f"e2fsck -fn: {done.stdout}" if done.returncode else ""
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def difference(ours, theirs):
    """The first path on which two trees differ."""
    for path in sorted(set(ours) | set(theirs)):
        if ours.get(path) != theirs.get(path):
            return f"{path}: rext4 {ours.get(path)}, C ext4 {theirs.get(path)}"
    return ""


def judge(listing):
    """Recovers all pairs."""
    with open(listing, encoding="utf-8") as lines:
        for line in lines:
            name, size, for_c, for_us = line.split()
            theirs, their_fault = recover("ext4", [], size, for_c)
            ours, our_fault = recover("rext4", ["-o", "verify"], size, for_us)
            wrong = []
            if their_fault:
                wrong.append(f"C ext4: {their_fault}")
            if our_fault:
                wrong.append(f"rext4: {our_fault}")
            if ours is not None and theirs is not None and ours != theirs:
                wrong.append(difference(ours, theirs))
            for text in "\n".join(wrong).splitlines():
                print(f"# {name}: {text}")
            count = 0 if ours is None else len(ours)
            print(f"{'not ok' if wrong else 'ok'} - {name}: the same tree by C ext4 and rext4, {count} names", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "load":
        load(sys.argv[2:])
    else:
        judge(sys.argv[2])
