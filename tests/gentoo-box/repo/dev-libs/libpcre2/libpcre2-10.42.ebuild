# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit swarm-prefix

DESCRIPTION="Perl-compatible regular expression library"
HOMEPAGE="https://www.pcre.org/"
SRC_URI="pcre2_${PV}.orig.tar.gz"
S="${WORKDIR}/pcre2-${PV}"

LICENSE="BSD"
# libpcre2-posix's; libpcre2-8 is at 0.
SLOT="0/3"
KEYWORDS="amd64"
IUSE="bzip2 jit pcre16 pcre32 +readline static-libs unicode zlib"

DEPEND="
	bzip2? ( app-arch/bzip2:= )
	readline? ( sys-libs/readline:= )
	zlib? ( sys-libs/zlib:= )
"
RDEPEND="${DEPEND}"

src_configure() {
	swarm-prefix_econf \
		$(use_enable bzip2 pcre2grep-libbz2) \
		$(use_enable jit) \
		$(use_enable pcre16 pcre2-16) \
		$(use_enable pcre32 pcre2-32) \
		$(use_enable readline pcre2test-libreadline) \
		$(use_enable static-libs static) \
		$(use_enable unicode) \
		$(use_enable zlib pcre2grep-libz)
}

src_install() {
	swarm-prefix_install
}
