# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Sandbox test: starts processes without end"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

# The end is for whoever runs this without limits.
src_compile() {
	local i
	for ((i = 0; i < 500; i++)); do
		sleep 600 &
	done
	wait
}
