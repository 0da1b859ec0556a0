# Sourced: break the core on purpose, one patch at a time, and see who notices.
# shellcheck shell=sh
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# sound TREE [PATTERN]: up to date; a run that was interrupted may have left a
# broken core in it
sound()
{
	[ ! -e "$1/broken" ] || rm -rf "$1"
	"$top/scripts/tree" "$@"
}

# broken TREE NAME DIR KIND: build the kernel NAME with each patch of DIR, the
# first line of which says what it breaks. The function `noticed`, which the
# caller has, prints by what. Prints an ok or not ok line for each.
broken()
{
	for patch in "$3"/*.patch; do
		what="$4 $(basename "$patch" .patch) ($(head -n 1 "$patch"))"
		by=
		: > "$1/broken"
		patch -d "$1" -p1 -s -F0 < "$patch" ||
			die "${patch#"$top/"} does not apply: rebase it"
		# One that does not build must not be judged by the kernel before it.
		"$top/scripts/kernel" "$1" "$2" && by=$(noticed)
		patch -d "$1" -p1 -s -R < "$patch"
		rm "$1/broken"
		if [ -n "$by" ]; then
			echo "ok $what: $by"
		else
			echo "not ok $what: nobody notices"
		fi
	done
}
