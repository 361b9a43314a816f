# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Resolver test: needs knot-b to build, which needs it; an earlier one breaks the cycle"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="~amd64"

DEPEND="swarm-test/knot-b"

src_install() {
	# knot-b does not work without knot-a.
	local built=/opt/swarm/share/swarm-test
	[[ -f ${built}/knot-a && -f ${built}/knot-b ]] || die "no knot is tied"
	insinto "${built}"
	newins - knot-a <<< "${P} with $(cut -d' ' -f1 "${built}/knot-b")"
}
