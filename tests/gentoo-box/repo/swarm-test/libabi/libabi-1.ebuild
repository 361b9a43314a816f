# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Set test: a library whose sub-slot does not follow its soname"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

src_compile() {
	echo "int abi(void) { return ${PV}; }" > lib.c || die
	"${CHOST}-gcc" ${CFLAGS} ${LDFLAGS} -shared -fPIC -Wl,-soname,libabi.so.${PV} \
		-o libabi.so.${PV} lib.c || die
}

src_install() {
	exeinto /opt/swarm/lib
	doexe libabi.so.${PV}
	dosym libabi.so.${PV} /opt/swarm/lib/libabi.so
}
