# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Sandbox test: needs a network that it does not declare"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

# An address of the range for documentation (RFC 5737): nobody is there, wherever this is run.
src_compile() {
	: < /dev/tcp/192.0.2.1/80 || die "swarm-test: there is no network"
}
