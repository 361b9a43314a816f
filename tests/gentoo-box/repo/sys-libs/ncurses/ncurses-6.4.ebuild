# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Console display library"
HOMEPAGE="https://www.gnu.org/software/ncurses/ https://invisible-island.net/ncurses/"
SRC_URI="ncurses_${PV}.orig.tar.gz"

LICENSE="MIT"
SLOT="0/6"
KEYWORDS="amd64"
IUSE="minimal static-libs"

# Wide characters only, headers where programs look first, and no C++, Ada or tests.
src_configure() {
	swarm-prefix_econf \
		--disable-rpath-hack \
		--disable-stripping \
		--enable-overwrite \
		--enable-pc-files \
		--enable-widec \
		--with-pkg-config-libdir="${SWARM_PREFIX}/lib/pkgconfig" \
		--with-shared \
		--without-ada \
		--without-cxx \
		--without-cxx-binding \
		--without-debug \
		--without-manpages \
		--without-tests \
		$(use_with static-libs normal)
}

src_install() {
	swarm-prefix_install
	# What asks for plain ncurses gets this one, too.
	dosym libncursesw.so "${SWARM_PREFIX}/lib/libncurses.so"
	dosym ncursesw.pc "${SWARM_PREFIX}/lib/pkgconfig/ncurses.pc"
	if use minimal; then
		find "${ED}${SWARM_PREFIX}/share/terminfo" -type f \
			! -name ansi ! -name dumb ! -name linux ! -name 'screen*' ! -name 'tmux*' \
			! -name 'vt[12]?0' ! -name 'xterm*' -delete || die
		find "${ED}${SWARM_PREFIX}/share/terminfo" -type d -empty -delete || die
	fi
}
