# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="A lightweight and flexible command-line JSON processor"
HOMEPAGE="https://jqlang.github.io/jq/"
SRC_URI="jq_${PV}.orig.tar.gz"
S="${WORKDIR}/jq-${P}"

LICENSE="MIT CC-BY-3.0"
SLOT="0/1"
KEYWORDS="amd64"
IUSE="+oniguruma static-libs"

DEPEND="oniguruma? ( dev-libs/oniguruma:= )"
RDEPEND="${DEPEND}"

src_prepare() {
	default
	# It asks git for the version.
	printf '#!/bin/sh\nprintf %s "%s"\n' "${PV}" > scripts/version || die
	autoreconf --install --force || die
}

src_configure() {
	swarm-prefix_econf \
		--disable-docs \
		--disable-maintainer-mode \
		--disable-valgrind \
		$(use_enable static-libs static) \
		--with-oniguruma=$(usex oniguruma "${SWARM_PREFIX}" no)
}

src_install() {
	swarm-prefix_install
}
