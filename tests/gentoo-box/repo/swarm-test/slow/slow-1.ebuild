# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Fault test: compiles until its gate opens"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

# The gate is a file in the build's own root; `box gate` makes it.
src_compile() {
	local gate=/var/cache/swarm-gate/go deadline=$((SECONDS + 600))
	echo "swarm-test: waiting for ${gate}"
	until [[ -e ${gate} ]]; do
		((SECONDS < deadline)) || die "swarm-test: the gate stayed shut for ten minutes"
		sleep 0.1
	done
	echo "swarm-test: the gate is open"
}

src_install() {
	insinto /opt/swarm/share/swarm-test
	newins - slow <<< "It took its time."
}
