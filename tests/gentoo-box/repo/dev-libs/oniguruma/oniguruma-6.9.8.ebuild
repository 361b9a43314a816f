# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Regular expression library for different character encodings"
HOMEPAGE="https://github.com/kkos/oniguruma"
SRC_URI="libonig_${PV}.orig.tar.gz"

LICENSE="BSD-2"
SLOT="0/5"
KEYWORDS="amd64"
IUSE="static-libs"

src_prepare() {
	default
	autoreconf --install --force || die
}

src_configure() {
	swarm-prefix_econf --enable-posix-api=no $(use_enable static-libs static)
}

src_install() {
	swarm-prefix_install
}
