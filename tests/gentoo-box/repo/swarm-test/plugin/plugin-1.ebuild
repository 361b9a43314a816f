# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Resolver test: a plugin, built against its program"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

DEPEND="swarm-test/host"
RDEPEND="${DEPEND}"

src_compile() {
	cp /opt/swarm/share/swarm-test/host plugin || die "swarm-test/host is not staged"
}

src_install() {
	insinto /opt/swarm/share/swarm-test
	doins plugin
}
