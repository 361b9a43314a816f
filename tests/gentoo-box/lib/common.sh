# What every script of the Gentoo box shares: where things are, how it speaks, how it locks.
# Sourced, never run. BOX_HOME is this directory's parent: tests/gentoo-box.
# shellcheck shell=bash disable=SC2034 # the variables are read by those who source this

BOX_HOME=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${BUILD_SWARM_CACHE:-/var/cache/build-swarm}
BOXES=${BUILD_SWARM_BOXES:-/var/lib/build-swarm-boxes}
REPO=$BOX_HOME/repo
PORTAGE_VERSION=3.0.83
OLDER_PORTAGE_VERSION=3.0.66

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }

# lock FILE: holds FILE's lock until this process ends; others wait.
lock() {
    local fd
    mkdir -p "${1%/*}"
    exec {fd}>"$1"
    flock "$fd"
}

# debian_sources FORMAT: apt's own reading of the machine's Debian sources, whatever file holds them
# (one-line or deb822), main suite first. FORMAT is of apt's fields, $(REPO_URI) $(RELEASE) and so
# on. --no-release-info: what has never been updated counts too, but comes twice.
debian_sources() {
    local codename
    codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    apt-get indextargets --no-release-info --format "$1" 'Created-By: Packages' |
        grep -E " $codename(-updates|-security)? " | awk '!seen[$0]++'
}
