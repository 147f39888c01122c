# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For the subjects in tools/tests/guest: KTAP lines, and short names for what they do again and again.
# A subject runs in the guest, in /host (its scratch folder on the host), with the disks it declares.

tests=0 failures=0

# pass NAME / fail NAME [WHY]: one result.
pass() { tests=$((tests + 1)); printf 'ok %d - %s\n' "$tests" "$1"; }
fail() {
	tests=$((tests + 1)) failures=$((failures + 1))
	[[ -z ${2:-} ]] || printf '%s\n' "$2" | sed 's/^/# /'
	printf 'not ok %d - %s\n' "$tests" "$1"
}

# check NAME COMMAND...: passes when COMMAND succeeds; its output is shown when it does not.
check() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then pass "$name"; else fail "$name" "$*: $output"; fi
}

# refuses NAME TEXT COMMAND...: passes when COMMAND fails and says TEXT.
refuses() {
	local name=$1 text=$2 output
	shift 2
	if output=$("$@" 2>&1); then
		fail "$name" "$* succeeded"
	elif grep -qF -- "$text" <<< "$output"; then
		pass "$name"
	else
		fail "$name" "$*: $output (expected: $text)"
	fi
}

# same NAME EXPECTED FOUND: passes when both are equal.
same() { if [[ $2 = "$3" ]]; then pass "$1"; else fail "$1" "expected '$2', found '$3'"; fi; }

# no_commit_thread: no journal runs.
no_commit_thread() { ! grep -sl '^rext4-journal' /proc/[0-9]*/comm; }

# finish: the last line of a subject. What was unmounted, or could not be mounted, has left nothing running.
finish() {
	grep -q ' rext4 ' /proc/mounts || no_commit_thread || fail "no commit thread is left"
	printf '1..%d\n' "$tests"
	(( failures == 0 ))
}

# mounted [OPTIONS]: mounts the first disk with rext4 on /mnt; each commit is verified.
mounted() {
	local verify=verify
	[[ ${fs:-rext4} = rext4 ]] || verify=
	mount -t "${fs:-rext4}" -o "$verify${verify:+${1:+,}}${1:-}" "${disk:-/dev/vda}" /mnt
}

# with_c [OPTIONS]: mounts the first disk with the kernel's C driver on /mnt.
with_c() { modprobe ext4 && mount -t ext4 ${1:+-o "$1"} "${disk:-/dev/vda}" /mnt; }

# clean NAME: e2fsck has nothing to say about the unmounted first disk.
clean() { check "$1" e2fsck -fn "${disk:-/dev/vda}"; }

# watch: begins watch.py, which $! is then.
watch() {
	rm -f watching seen
	timeout 60 python3 watch.py 2> watch-error &
	for _ in {1..100}; do [[ -s watching ]] && break; sleep 0.2; done
}

# tree DIR: content, mode, owner, times, links and xattrs of everything below DIR, in a fixed order.
tree() {
	(
		cd "$1" || exit
		find . -path ./lost+found -prune -o -printf '%p %y %m %U:%G %s %n %T@ %l\n' | sort
		find . -path ./lost+found -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum
		getfattr -R -d -m - -h . 2>/dev/null
	)
}
