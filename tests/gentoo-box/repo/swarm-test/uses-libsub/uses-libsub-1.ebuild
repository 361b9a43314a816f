# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Resolver test: says which libsub it was built against"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

DEPEND="swarm-test/libsub:="
RDEPEND="${DEPEND}"

# The root's libsub goes into the package, as a soname would.
src_compile() {
	sed 's/^/built against /' /opt/swarm/share/swarm-test/libsub > uses-libsub ||
		die "swarm-test/libsub is not staged"
}

src_install() {
	insinto /opt/swarm/share/swarm-test
	doins uses-libsub
}
