# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Resolver test: needs cyc-b to build, which needs it; USE=-cyc breaks the cycle"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"
IUSE="+cyc"

DEPEND="cyc? ( swarm-test/cyc-b )"
RDEPEND="${DEPEND}"

# cyc-b copies what it finds of ours, so the files tell which stage each was built in.
src_compile() {
	if use cyc; then
		sed 's/alone/with cyc-b/' /opt/swarm/share/swarm-test/cyc-b > cyc-a ||
			die "swarm-test/cyc-b is not staged"
	else
		echo "Built alone." > cyc-a || die
	fi
}

src_install() {
	insinto /opt/swarm/share/swarm-test
	doins cyc-a
}
