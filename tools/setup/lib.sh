# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Shared by the set-up scripts: where things are, what was done already, and how progress is shown.

set -euo pipefail

setup_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$setup_dir/../.." && pwd)
cache=${REXT4_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rext4}

# shellcheck source=tools/setup/versions
. "$setup_dir/versions"

say() { printf 'rext4: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# key WORD...: a short name for a configuration.
key() { printf '%s\n' "$@" | sha256sum | cut -c1-12; }

root_key=$(key root-1 "$suite" "${toolchain_packages[@]}")
root=$cache/root-$root_key
guest_key=$(key guest-1 "$suite" "${guest_packages[@]}")
guest_root=$cache/guest-root-$guest_key
kernel_key=$(key kernel-1 "$root_key" "$kernel_suite" "$kernel_series" "$kernel_flavour")
kernel=$cache/kernel-$kernel_key
image_key=$(key image-1 "$guest_key" "$kernel_key" "${guest_modules[@]}" "$(sha256sum < "$setup_dir/guest-image")" \
	"$(sha256sum < "$setup_dir/initramfs-init")")
image=$cache/image-$image_key

# ready DIR: was DIR finished by an earlier run?
ready() { [[ -e $1/.ready ]]; }

# as_root COMMAND...: with the rights of root, asking sudo if need be.
as_root() {
	if [[ $(id -u) = 0 ]]; then
		"$@"
	else
		command -v sudo >/dev/null || die "root's rights are needed for: $*; run as root or install sudo"
		sudo -- "$@"
	fi
}

# step NAME COMMAND...: runs COMMAND with its output in a log, showing name and seconds; the end of the log on failure.
step() {
	local name=$1 log pid begin=$SECONDS
	shift
	mkdir -p "$cache/log"
	log=$cache/log/${name//[^a-zA-Z0-9.-]/-}.log
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		if [[ -t 2 ]]; then
			printf '\rrext4:   %-44s %4d s' "$name" $((SECONDS - begin)) >&2
		elif (( (SECONDS - begin) % 30 == 29 )); then
			printf 'rext4:   %s: %d s\n' "$name" $((SECONDS - begin + 1)) >&2
		fi
		sleep 1
	done
	[[ -t 2 ]] && printf '\r' >&2
	if wait "$pid"; then
		printf 'rext4:   %-44s %4d s, done\n' "$name" $((SECONDS - begin)) >&2
	else
		printf 'rext4:   %s failed; the end of %s:\n' "$name" "$log" >&2
		tail -n 30 "$log" >&2
		return 1
	fi
}

# apt_options: the settings of this machine's apt that matter for reaching the mirror, as NAME "VALUE"; lines.
apt_options() {
	apt-config dump | grep -E '^Acquire::(http|https|ftp|Check-|Retries)' | grep -v '::$' || true
}

# debian_mirror: the mirror in this machine's apt configuration.
debian_mirror() {
	local uri
	# shellcheck disable=SC2016 # apt-get replaces $(REPO_URI) itself
	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		grep -E '/debian/?$' | head -n 1 || true)
	uri=${uri:-$default_mirror}
	printf '%s\n' "${uri%/}"
}

# bootstrap DIR PACKAGE...: a Debian root with these packages, renamed to its name when it is whole.
bootstrap() {
	local dir=$1 option options=() packages
	shift
	as_root rm -rf --one-file-system "$dir.part"
	while read -r option; do
		options+=("--aptopt=$option")
	done < <(apt_options)
	packages=$(IFS=,; printf '%s' "$*")
	as_root env TMPDIR="${TMPDIR:-/tmp}" mmdebstrap --mode=root --variant=apt --components=main \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		"${options[@]}" --aptopt='APT::Install-Recommends "false"' \
		--include="$packages" "$suite" "$dir.part" "$(debian_mirror)"
	as_root touch "$dir.part/.ready"
	as_root mv "$dir.part" "$dir"
}
