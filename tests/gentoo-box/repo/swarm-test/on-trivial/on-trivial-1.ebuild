# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Fault test: needs swarm-test/trivial to build and to run"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

DEPEND="swarm-test/trivial"
RDEPEND="${DEPEND}"

src_compile() {
	cp /opt/swarm/share/swarm-test/trivial on-trivial || die "swarm-test/trivial is not staged"
}

src_install() {
	insinto /opt/swarm/share/swarm-test
	doins on-trivial
}
