# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Sandbox test: writes files without end"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

# The end is for whoever runs this without limits.
src_compile() {
	local i
	for ((i = 0; i < 400; i++)); do
		head -c 1M /dev/zero > "${i}" || die "swarm-test: cannot write"
		sleep 0.01
	done
	sleep 600
}
