# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Portable, high level programming interface to various calling conventions"
HOMEPAGE="https://sourceware.org/libffi/"
SRC_URI="libffi_${PV}.orig.tar.gz"

LICENSE="MIT"
SLOT="0/8"
KEYWORDS="amd64"
IUSE="debug static-libs"

src_configure() {
	swarm-prefix_econf \
		--disable-docs \
		--disable-multi-os-directory \
		$(use_enable debug) \
		$(use_enable static-libs static)
}

src_install() {
	swarm-prefix_install
}
