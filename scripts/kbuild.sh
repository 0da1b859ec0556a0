# Sourced: configure and build a kernel tree, for any architecture.
# shellcheck shell=sh
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# place TREE NAME: what the functions below work on. NAME a-b is made of
# configs/a + configs/b and built in TREE/../o/a-b
place()
{
	tree=$(cd "$1" && pwd) || die "no kernel tree $1: make tree makes build/linux"
	name=$2
	out=$(dirname "$tree")/o/$name
	log=$out.log
	wanted=$out.config
	arch=$(said arch)
	arch=${arch:-um}
	cross=$(said cross)
	options=$(said make)
	# The trees lie equally deep: one cache serves them all.
	CCACHE_BASEDIR=$(dirname "$tree")
	export CCACHE_BASEDIR
}

fragments()
{
	for part in $(echo "${name##*/}" | tr - ' '); do
		cat "$top/configs/${name%"${name##*/}"}$part.config"
	done
}

# said KEY: what the last fragment that says it has in a line `# KEY: value`
said()
{
	fragments | sed -n "s/^# $1: //p" | tail -n 1
}

kbuild()
{
	# The options of make are words.
	# shellcheck disable=SC2086
	nice make -C "$tree" ARCH="$arch" CROSS_COMPILE="$cross" O="$out" \
		CC="ccache ${cross}gcc" HOSTCC="ccache gcc" $options "$@"
}

# met OPTION: a line of a fragment is as wanted, in a .config
met()
{
	case $1 in
	\#*)	! grep -q "^$(echo "$1" | cut -d' ' -f2)=" "$out/.config" ;;
	*)	grep -qx "$1" "$out/.config" ;;
	esac
}

# coming OPTION: a patch that is not pushed yet brings the option
coming()
{
	config=${1#CONFIG_}
	(cd "$top/patches" && patches_of . | while read -r patch; do
		grep -q "  $patch\$" "$tree/.pc/pushed" || cat "$patch"
	 done) | grep -qx "+config ${config%%=*}"
}

# unmet MESSAGE: for who sees the run, and for who asks for the fault
unmet()
{
	printf 'error: %s\n' "$*" >> "$log"
	die "$@"
}

# Of several values that the fragments give an option, the last one counts.
configure()
{
	mkdir -p "$out"
	fragments > "$wanted.new"
	# Other patches may bring other options: configure again.
	sed "s/^/# /" "$tree/.pc/pushed" >> "$wanted.new"
	if [ -f "$out/.config" ] && cmp -s "$wanted.new" "$wanted"; then
		rm "$wanted.new"
		return
	fi
	kbuild -s KCONFIG_ALLCONFIG="$wanted.new" allnoconfig > "$log" 2>&1 ||
		unmet "the configuration $name fails: see $log"
	awk '/^CONFIG_/ { split($1, part, "="); line[part[1]] = $0 }
	     /^# CONFIG_.* is not set/ { line[$2] = $0 }
	     END { for (name in line) print line[name] }' "$wanted.new" |
		sort | while read -r option; do
		met "$option" || coming "$option" ||
			unmet "$option is not met: see configs/ and $out/.config"
	done || return
	mv "$wanted.new" "$wanted"
}

# progress STEPS: log a build and show how far it is, of about so many lines
progress()
{
	line=0
	while IFS= read -r text; do
		printf '%s\n' "$text"
		line=$((line + 1))
		[ $((line % 40)) -ne 0 ] || echo "    $line of about $1" >&2
	done > "$log"
}

# build STEPS GOAL...: into the log; fails if a goal does
build()
{
	steps=$1
	shift
	{ kbuild -j"$(nproc)" "$@" || echo FAILED; } 2>&1 | progress "$steps"
	! grep -qx FAILED "$log"
}

# fault: the first error of a build that failed
fault()
{
	grep -a -E -m 1 '(^|: )(fatal )?error: |\*\*\* ' "$log" ||
		grep -v -x FAILED "$log" | tail -n 1
}
