# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Reproducibility test: takes in all that it finds of where and when it is built"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"

src_compile() {
	# The time, the path in the debugging data, and an archive whose members have dates of their own.
	echo 'const char *when(void) { return __DATE__ " " __TIME__ " " __FILE__; }' > when.c || die
	"${CHOST}-gcc" ${CFLAGS} -g -c "${PWD}/when.c" || die
	"${CHOST}-ar" rc libwhen.a when.o || die
	# Bytecode holds the time of its source, unless it is asked for its hash.
	echo 'WHEN = __file__' > when.py || die
	python3 -m compileall -q when.py || die
	date -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" > built || die
	{
		uname -n
		umask
		pwd
		id
		locale 2> /dev/null
		date +%Z
		printf '%s\n' "${HOME}" "${TMPDIR}" "${PATH}"
	} > surroundings || die
	umask 002 && mkdir shared && touch shared/file || die
}

src_install() {
	insinto /opt/surroundings
	doins libwhen.a when.py built surroundings
	insinto /opt/surroundings/__pycache__
	doins __pycache__/*
	cp -r shared "${ED}/opt/surroundings/" || die
}
