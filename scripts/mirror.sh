# Sourced: Debian's sources from the mirror that this machine uses.
# shellcheck shell=sh
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

apt=$cache/apt

# A private apt that knows only the sid sources of this machine's own mirror. An
# index that has expired is as good as any: the version is pinned, or told.
private_apt()
{
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release; echo "${VERSION_CODENAME-}")
	apt-get indextargets --format \
		'$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)' 2>/dev/null |
		awk -v c="$codename" \
		'$2 == c && $3 == "main" && $4 == "Packages" { print $1; exit }' \
		> "$apt/mirror"
	[ -s "$apt/mirror" ] || return 1
	keys=$(find /usr/share/keyrings -name debian-archive-keyring.\* |
		sort | head -n 1)
	printf 'deb-src %s%s sid main\n' "${keys:+[signed-by=$keys] }" \
		"$(cat "$apt/mirror")" > "$apt/sources.list"
	cat > "$apt/apt.conf" <<EOF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Acquire::Check-Valid-Until "false";
APT::Sandbox::User "";
EOF
	APT_CONFIG=$apt/apt.conf apt-get -q update > "$apt/log" 2>&1
}

# source_of PACKAGE=VERSION: its upstream tarball into $apt, checked by apt
source_of()
{
	(cd "$apt" && APT_CONFIG=$apt/apt.conf apt-get -q source \
		--download-only --tar-only "$1" >> "$apt/log" 2>&1)
}
