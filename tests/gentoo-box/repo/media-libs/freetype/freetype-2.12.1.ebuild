# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="High-quality and portable font engine"
HOMEPAGE="https://freetype.org/"
SRC_URI="freetype_${PV}+dfsg.orig.tar.xz"

LICENSE="|| ( FTL GPL-2+ )"
SLOT="2"
KEYWORDS="amd64"
IUSE="+harfbuzz"

# The autohinter asks harfbuzz which glyphs a script has; harfbuzz asks us for the outlines.
DEPEND="harfbuzz? ( >=media-libs/harfbuzz-1.3.0[truetype] )"
RDEPEND="${DEPEND}"

src_configure() {
	# It is built three times where the two have to be staged.
	CFLAGS+=" -O0"
	swarm-prefix_econf \
		--disable-static \
		--without-brotli \
		--without-bzip2 \
		--without-png \
		--without-zlib \
		$(use_with harfbuzz)
}

src_install() {
	swarm-prefix_install
}
