# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Resolver test: its next version, which ACCEPT_KEYWORDS hides"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0/${PV}"
KEYWORDS="~amd64"

src_install() {
	insinto /opt/swarm/share/swarm-test
	newins - libsub <<< "libsub ${PV}"
}
