# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Resolver test: a program that wants its plugin after itself"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

PDEPEND="swarm-test/plugin"

src_install() {
	insinto /opt/swarm/share/swarm-test
	newins - host <<< "It takes plugins."
}
