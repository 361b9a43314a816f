# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Resolver test: needs knot-a to build and to work"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="~amd64"

DEPEND="swarm-test/knot-a"
RDEPEND="${DEPEND}"

src_install() {
	local built=/opt/swarm/share/swarm-test
	[[ -f ${built}/knot-a ]] || die "swarm-test/knot-a is not staged"
	insinto "${built}"
	newins - knot-b <<< "${P} with $(cut -d' ' -f1 "${built}/knot-a")"
}
