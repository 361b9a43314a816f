# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Set test: a library whose sub-slot follows its soname"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0/${PV}"
KEYWORDS="amd64"

src_compile() {
	echo "int icu(void) { return ${PV}; }" > lib.c || die
	"${CHOST}-gcc" ${CFLAGS} ${LDFLAGS} -shared -fPIC -Wl,-soname,libicu.so.${PV} \
		-o libicu.so.${PV} lib.c || die
}

src_install() {
	exeinto /opt/swarm/lib
	doexe libicu.so.${PV}
	dosym libicu.so.${PV} /opt/swarm/lib/libicu.so
}
