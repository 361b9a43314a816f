# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Excellent text file viewer"
HOMEPAGE="https://www.greenwoodsoftware.com/less/"
SRC_URI="less_${PV}.orig.tar.gz"

LICENSE="|| ( GPL-3 BSD-2 )"
SLOT="0"
KEYWORDS="amd64"
IUSE="pcre"

DEPEND="
	sys-libs/ncurses:=
	pcre? ( dev-libs/libpcre2:= )
"
RDEPEND="${DEPEND}"

src_configure() {
	swarm-prefix_econf --with-regex=$(usex pcre pcre2 posix)
}

src_install() {
	swarm-prefix_install
}
