# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Utils for managing LZMA compressed files"
HOMEPAGE="https://tukaani.org/xz/"
SRC_URI="xz-utils_${PV}.orig.tar.xz"
S="${WORKDIR}/xz-${PV}"

LICENSE="public-domain LGPL-2.1+ GPL-2+"
SLOT="0/5"
KEYWORDS="amd64"
IUSE="static-libs"

src_configure() {
	swarm-prefix_econf \
		--disable-doc \
		--disable-nls \
		$(use_enable static-libs static)
}

src_install() {
	swarm-prefix_install
}
