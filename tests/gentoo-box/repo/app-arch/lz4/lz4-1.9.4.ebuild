# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Extremely Fast Compression algorithm"
HOMEPAGE="https://github.com/lz4/lz4"
SRC_URI="lz4_${PV}.orig.tar.gz"

LICENSE="BSD-2 GPL-2"
SLOT="0/1"
KEYWORDS="amd64"

# No configure at all: the makefiles take everything as arguments.
swarm_lz4() {
	"$1" PREFIX="${SWARM_PREFIX}" BUILD_STATIC=no V=1 "${@:2}"
}

src_compile() {
	swarm-prefix_flags
	swarm_lz4 emake -C lib liblz4
	swarm_lz4 emake -C programs lz4-release
}

src_install() {
	swarm_lz4 swarm-prefix_install -C lib install
	swarm_lz4 swarm-prefix_install -C programs install
}
