# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Resolver test: a link of the ring"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

DEPEND="swarm-test/ring-a"
RDEPEND="${DEPEND}"

src_install() {
	[[ -f /opt/swarm/share/swarm-test/ring-a ]] || die "swarm-test/ring-a is not staged"
	insinto /opt/swarm/share/swarm-test
	newins - ring-c <<< "closed"
}
