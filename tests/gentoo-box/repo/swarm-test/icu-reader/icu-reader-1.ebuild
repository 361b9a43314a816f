# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Set test: linked with libicu"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

DEPEND="swarm-test/libicu:="
RDEPEND="${DEPEND}"

src_compile() {
	echo "int icu(void); int main(void) { return !icu(); }" > main.c || die
	"${CHOST}-gcc" ${CFLAGS} ${LDFLAGS} -L/opt/swarm/lib -Wl,-rpath,/opt/swarm/lib \
		-o icu-reader main.c -licu || die
}

src_install() {
	exeinto /opt/swarm/bin
	doexe icu-reader
}
