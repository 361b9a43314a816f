# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Standard (de)compression library"
HOMEPAGE="https://zlib.net/"
SRC_URI="zlib_${PV}.dfsg.orig.tar.bz2"
S="${WORKDIR}/${P}.dfsg"

LICENSE="ZLIB"
SLOT="0/1"
KEYWORDS="amd64"
IUSE="static-libs"

# Not autoconf's configure: it knows few options.
src_configure() {
	swarm-prefix_flags
	./configure --shared --prefix="${SWARM_PREFIX}" || die
}

src_install() {
	swarm-prefix_install
	use static-libs || rm "${ED}${SWARM_PREFIX}/lib/libz.a" || die
}
