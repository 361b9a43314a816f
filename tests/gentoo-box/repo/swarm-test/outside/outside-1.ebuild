# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Sandbox test: writes where it must not"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

# The root is thrown away, so its /etc may be written; the repository and the dependencies may not.
src_compile() {
	echo "swarm-test" > /etc/swarm-escaped || die
	local place
	for place in /var/db/repos/swarm-box /var/cache/swarm/closure /var/cache/swarm/distfiles; do
		! : > "${place}"/swarm-escaped || die "swarm-test: ${place} can be written"
	done
	die "swarm-test: nothing outside can be written"
}
