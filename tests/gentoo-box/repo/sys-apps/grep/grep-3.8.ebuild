# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="GNU regular expression matcher"
HOMEPAGE="https://www.gnu.org/software/grep/"
SRC_URI="grep_${PV}.orig.tar.xz"

LICENSE="GPL-3+"
SLOT="0"
KEYWORDS="amd64"
IUSE="nls pcre"

DEPEND="pcre? ( dev-libs/libpcre2:= )"
RDEPEND="${DEPEND}"

src_configure() {
	swarm-prefix_econf $(use_enable nls) $(use_enable pcre perl-regexp)
}

src_install() {
	swarm-prefix_install
}
