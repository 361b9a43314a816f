# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Sandbox test: has a network in the phase for which it asks"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"
PROPERTIES="live"

interfaces() {
	sed -n "s/^ *\\([a-z0-9.@_-]*\\):.*/\\1/p" /proc/net/dev | grep -vx lo | paste -sd" "
}

src_unpack() {
	[[ -n $(interfaces) ]] || die "swarm-test: a live ebuild unpacks without a network"
}

src_compile() {
	local found=$(interfaces)
	[[ -z ${found} ]] || die "swarm-test: a live ebuild compiles with ${found}"
}

src_install() {
	insinto /opt/swarm/share/swarm-test
	newins - networked <<< "It unpacked with a network and compiled without."
}
