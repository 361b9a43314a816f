# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="A high-quality data compressor used extensively by Gentoo Linux"
HOMEPAGE="https://sourceware.org/bzip2/"
SRC_URI="bzip2_${PV}.orig.tar.gz"

LICENSE="BZIP2"
SLOT="0/1"
KEYWORDS="amd64"

# Of upstream's makefiles this one makes the shared library; neither installs it.
src_compile() {
	swarm-prefix_flags
	emake -f Makefile-libbz2_so CC="${CC:-cc}" \
		CFLAGS="${CPPFLAGS} ${CFLAGS} -fPIC -D_FILE_OFFSET_BITS=64 ${LDFLAGS}"
}

src_install() {
	exeinto "${SWARM_PREFIX}/bin"
	newexe bzip2-shared bzip2
	dosym bzip2 "${SWARM_PREFIX}/bin/bunzip2"
	dosym bzip2 "${SWARM_PREFIX}/bin/bzcat"
	exeinto "${SWARM_PREFIX}/lib"
	doexe "libbz2.so.${PV}"
	dosym "libbz2.so.${PV}" "${SWARM_PREFIX}/lib/libbz2.so.1.0"
	dosym "libbz2.so.${PV}" "${SWARM_PREFIX}/lib/libbz2.so"
	insinto "${SWARM_PREFIX}/include"
	doins bzlib.h
	insinto "${SWARM_PREFIX}/share/man/man1"
	doins bzip2.1
}
