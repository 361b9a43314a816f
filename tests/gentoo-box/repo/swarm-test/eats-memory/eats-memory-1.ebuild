# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Sandbox test: takes memory without end"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

# The end is for whoever runs this without limits.
src_compile() {
	python3 -c "
import time
pages = []
for _ in range(600):
    pages.append(bytearray(1 << 20))
    time.sleep(0.005)
time.sleep(600)
" || die "swarm-test: no memory"
}
