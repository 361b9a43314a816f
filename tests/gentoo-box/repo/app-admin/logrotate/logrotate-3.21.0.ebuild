# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Rotates, compresses, and mails system logs"
HOMEPAGE="https://github.com/logrotate/logrotate"
SRC_URI="logrotate_${PV}.orig.tar.gz"

LICENSE="GPL-2"
SLOT="0"
KEYWORDS="amd64"

DEPEND="dev-libs/popt:="
RDEPEND="${DEPEND}"

src_configure() {
	swarm-prefix_econf --without-acl --without-selinux
}

src_install() {
	swarm-prefix_install
}
