# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Resolver test: needs cyc-a to build"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

DEPEND="swarm-test/cyc-a"
RDEPEND="${DEPEND}"

src_compile() {
	cp /opt/swarm/share/swarm-test/cyc-a cyc-b || die "swarm-test/cyc-a is not staged"
}

src_install() {
	insinto /opt/swarm/share/swarm-test
	doins cyc-b
}
