# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="An OpenType text shaping engine"
HOMEPAGE="https://harfbuzz.github.io/"
SRC_URI="harfbuzz_${PV}+dfsg.orig.tar.xz"

LICENSE="Old-MIT ISC icu"
SLOT="0/${PV}"
KEYWORDS="amd64"
IUSE="+truetype"

# Gentoo's binds the sub-slot (:2=). A runtime cycle with a bound edge is one that Portage 3.0.83 refuses to install from
# binaries on a machine that has neither (DepPriorityNormalRange.py, runtime_slot_op).
DEPEND="truetype? ( >=media-libs/freetype-2.5.0.1:2 )"
RDEPEND="${DEPEND}"

src_configure() {
	# It is built twice where the two have to be staged.
	CXXFLAGS+=" -O0"
	swarm-prefix_econf \
		--disable-introspection \
		--disable-static \
		--without-cairo \
		--without-chafa \
		--without-glib \
		--without-gobject \
		--without-graphite2 \
		--without-icu \
		$(use_with truetype freetype)
}

# The library alone, from the one file that includes all others: a fifth of the time.
src_compile() {
	emake -C src libharfbuzz.la \
		am_libharfbuzz_la_OBJECTS=harfbuzz.lo \
		AM_CPPFLAGS="$(usex truetype "$(pkg-config --cflags freetype2)" "")"
}

src_install() {
	emake -C src DESTDIR="${D}" lib_LTLIBRARIES=libharfbuzz.la \
		am_libharfbuzz_la_OBJECTS=harfbuzz.lo pkgconfig_DATA=harfbuzz.pc \
		install-libLTLIBRARIES install-pkgincludeHEADERS install-pkgconfigDATA
	find "${ED}" -name '*.la' -delete || die
}
