# Stands for Gentoo's acct-group.eclass: as much of it as packaging/gentoo uses.
SLOT="0"
KEYWORDS="amd64"
S="${WORKDIR}"

acct-group_pkg_preinst() {
	getent group "${PN}" >/dev/null || groupadd --system "${PN}" || die
}

EXPORT_FUNCTIONS pkg_preinst
