# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="GNU GPL'd Pico clone with more functionality"
HOMEPAGE="https://www.nano-editor.org/"
SRC_URI="nano_${PV}.orig.tar.xz"

LICENSE="GPL-3+ LGPL-2.1+ || ( GPL-3+ FDL-1.2+ )"
SLOT="0"
KEYWORDS="amd64"
IUSE="magic minimal nls +spell"

DEPEND="
	sys-libs/ncurses:=
	magic? ( sys-apps/file:= )
"
RDEPEND="${DEPEND}"

src_configure() {
	swarm-prefix_econf \
		--enable-utf8 \
		$(use_enable magic libmagic) \
		$(use_enable minimal tiny) \
		$(use_enable nls) \
		$(use_enable spell speller)
}

src_install() {
	swarm-prefix_install
}
