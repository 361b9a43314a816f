# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Stream-oriented XML parser library"
HOMEPAGE="https://libexpat.github.io/"
SRC_URI="expat_${PV}.orig.tar.gz"
S="${WORKDIR}/libexpat-R_${PV//./_}/expat"

LICENSE="MIT"
SLOT="0/1"
KEYWORDS="amd64"
IUSE="examples static-libs"

src_prepare() {
	default
	autoreconf --install --force || die
}

src_configure() {
	swarm-prefix_econf \
		--without-docbook \
		--without-tests \
		$(use_with examples) \
		$(use_enable static-libs static)
}

src_install() {
	swarm-prefix_install
}
