# Sourced by every script: places, messages, the environment of a build.
# shellcheck shell=sh
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck disable=SC2034
build=$top/build
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mmu-notifiers-next
# shellcheck source=../BASE
. "$top/BASE"

export LC_ALL=C
export CCACHE_DIR="$cache/ccache" CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=5G
# An object that the cache does not have is not preprocessed twice.
export CCACHE_DEPEND=1
# The series is one list; quilt must not pick up a user's own configuration.
export QUILT_PATCHES="$top/patches" QUILT_SERIES="$top/series" QUILTRC=-
export QUILT_REFRESH_ARGS="-p ab --no-timestamps --no-index --sort"
export QUILT_DIFF_ARGS="-p ab --no-timestamps --no-index"

say()
{
	printf '==> %s\n' "$*" >&2
}

die()
{
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# need_space DIR GIB: a full disk is told before the work, not in its middle
need_space()
{
	mkdir -p "$1"
	free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$free" -ge "$2" ] ||
		die "$1 has $free GiB free, $2 are needed: free some space"
}

# tree_version DIR: the version of a kernel tree, nothing if it is none
tree_version()
{
	[ -f "$1/mm/mmu_notifier.c" ] &&
	awk '$2 == "=" { v[$1] = $3 }
	     $1 == "EXTRAVERSION" {
		print v["VERSION"] "." v["PATCHLEVEL"] "." v["SUBLEVEL"]; exit
	     }' "$1/Makefile"
}

# The tests, on the untouched base: it fails those of new behaviour
# shellcheck disable=SC2034
tests_only='^[15]'

# patches_of PATTERN: the patches of the series that match, in order
patches_of()
{
	sed -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' "$top/series" |
		grep -E "$1" || true
}

# new_suites: the KUnit suites of new behaviour
new_suites()
{
	(cd "$top/patches" && patches_of '^5' | xargs -r sed -n \
		's/^+++ .*\/\(mmu_notifier_.*\)_kunit\.c.*/\1/p')
}

# old_suites: kernel parameters that run the others
old_suites()
{
	echo "kunit_shutdown=poweroff kunit.filter_glob=mmu_notifier*" \
		"kunit.filter=$(new_suites |
			sed 's/.*/module!=&_kunit/' | paste -sd ,)"
}
