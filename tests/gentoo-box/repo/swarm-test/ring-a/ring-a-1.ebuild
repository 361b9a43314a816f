# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Resolver test: needs ring-b, which needs ring-c, which needs it; USE=-ring breaks the ring"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"
IUSE="+ring"

DEPEND="ring? ( swarm-test/ring-b )"
RDEPEND="${DEPEND}"

src_install() {
	insinto /opt/swarm/share/swarm-test
	newins - ring-a <<< "ring: $(usex ring "$(< /opt/swarm/share/swarm-test/ring-b)" open)"
}
