# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Identify a file's format by scanning binary data for patterns"
HOMEPAGE="https://www.darwinsys.com/file/"
SRC_URI="file_${PV}.orig.tar.gz"

LICENSE="BSD-2"
SLOT="0/1"
KEYWORDS="amd64"
IUSE="bzip2 lzma static-libs zlib zstd"

DEPEND="
	bzip2? ( app-arch/bzip2:= )
	lzma? ( app-arch/xz-utils:= )
	zlib? ( sys-libs/zlib:= )
	zstd? ( app-arch/zstd:= )
"
RDEPEND="${DEPEND}"

src_configure() {
	swarm-prefix_econf \
		--disable-libseccomp \
		--disable-lzlib \
		$(use_enable bzip2 bzlib) \
		$(use_enable lzma xzlib) \
		$(use_enable static-libs static) \
		$(use_enable zlib) \
		$(use_enable zstd zstdlib)
}

src_install() {
	swarm-prefix_install
}
