# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Parse Options - Command line parser"
HOMEPAGE="https://github.com/rpm-software-management/popt"
SRC_URI="popt_${PV}+dfsg.orig.tar.xz"

LICENSE="MIT"
SLOT="0/0"
KEYWORDS="amd64"
IUSE="nls static-libs"

src_configure() {
	swarm-prefix_econf $(use_enable nls) $(use_enable static-libs static)
}

src_install() {
	swarm-prefix_install
}
