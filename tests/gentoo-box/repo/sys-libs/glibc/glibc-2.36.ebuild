# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Debian's C library, which the roots run on, as a package"
HOMEPAGE="https://www.gnu.org/software/libc/"
S="${WORKDIR}"

LICENSE="LGPL-2.1+"
SLOT="2.2"
KEYWORDS="amd64"
RESTRICT="strip"

# The root's own libc is Debian's to install. A copy that nothing loads gives the artifact what
# Gentoo's has: PROVIDES with libc's sonames, which every other package REQUIRES.
src_install() {
	exeinto "/opt/swarm/libexec/${P}"
	doexe /lib/x86_64-linux-gnu/lib{c,m,dl,pthread,resolv,rt,util}.so.* \
		/lib64/ld-linux-x86-64.so.2
}
