# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Lists directories recursively, and produces an indented listing of files"
HOMEPAGE="https://mama.indstate.edu/users/ice/tree/"
SRC_URI="tree_${PV}.orig.tar.gz"

LICENSE="GPL-2+"
SLOT="0"
KEYWORDS="amd64"

src_compile() {
	swarm-prefix_flags
	emake CC="${CC:-cc}" CFLAGS="${CFLAGS} -std=c11 -D_FILE_OFFSET_BITS=64 -D_LARGEFILE64_SOURCE" \
		LDFLAGS="${LDFLAGS}"
}

src_install() {
	exeinto "${SWARM_PREFIX}/bin"
	doexe tree
	insinto "${SWARM_PREFIX}/share/man/man1"
	doins doc/tree.1
}
