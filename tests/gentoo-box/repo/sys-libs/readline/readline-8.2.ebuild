# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Another cute console display library"
HOMEPAGE="https://tiswww.case.edu/php/chet/readline/rltop.html"
SRC_URI="readline_${PV}.orig.tar.gz"

LICENSE="GPL-3+"
SLOT="0/8"
KEYWORDS="amd64"
IUSE="static-libs"

DEPEND="sys-libs/ncurses:="
RDEPEND="${DEPEND}"

# Upstream leaves tgetent and its like to the programs that link with it.
src_configure() {
	swarm-prefix_econf \
		--disable-install-examples \
		--with-curses \
		--with-shared-termcap-library \
		$(use_enable static-libs static)
}

src_install() {
	swarm-prefix_install
}
