# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="zstd fast compression library"
HOMEPAGE="https://facebook.github.io/zstd/"
SRC_URI="libzstd_${PV}+dfsg2.orig.tar.xz"

LICENSE="|| ( BSD GPL-2 )"
SLOT="0/1"
KEYWORDS="amd64"
IUSE="+lzma lz4 zlib"

DEPEND="
	lzma? ( app-arch/xz-utils:= )
	lz4? ( app-arch/lz4:= )
	zlib? ( sys-libs/zlib:= )
"
RDEPEND="${DEPEND}"

# The program gets a copy of lib/common, which the shared library hides. Left to itself it takes any
# library that it finds.
src_compile() {
	local common=( lib/common/*.c )
	swarm-prefix_flags
	emake -C lib PREFIX="${SWARM_PREFIX}" libzstd libzstd.pc
	emake -C programs zstd-dll ZSTDLIB_LOCAL_SRC="${common[*]##*/}" \
		HAVE_LZMA=$(usex lzma 1 0) HAVE_LZ4=$(usex lz4 1 0) HAVE_ZLIB=$(usex zlib 1 0)
}

src_install() {
	swarm-prefix_install -C lib PREFIX="${SWARM_PREFIX}" install-pc install-shared install-includes
	swarm-prefix_install -C programs PREFIX="${SWARM_PREFIX}" install
}
