# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="A parallel implementation of gzip"
HOMEPAGE="https://zlib.net/pigz/"
SRC_URI="pigz_${PV}.orig.tar.xz"

LICENSE="ZLIB Apache-2.0"
SLOT="0"
KEYWORDS="amd64"
IUSE="symlink"

DEPEND="sys-libs/zlib:="
RDEPEND="${DEPEND}"

src_compile() {
	swarm-prefix_flags
	emake CC="${CC:-cc}" CFLAGS="${CPPFLAGS} ${CFLAGS}" LDFLAGS="${LDFLAGS}"
}

src_install() {
	exeinto "${SWARM_PREFIX}/bin"
	doexe pigz
	dosym pigz "${SWARM_PREFIX}/bin/unpigz"
	if use symlink; then
		dosym pigz "${SWARM_PREFIX}/bin/gzip"
	fi
	insinto "${SWARM_PREFIX}/share/man/man1"
	doins pigz.1
}
