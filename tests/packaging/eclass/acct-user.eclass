# Stands for Gentoo's acct-user.eclass: as much of it as packaging/gentoo uses.
SLOT="0"
KEYWORDS="amd64"
S="${WORKDIR}"

acct-user_add_deps() {
	RDEPEND+=" ${ACCT_USER_GROUPS[*]/#/acct-group/}"
}

acct-user_src_install() {
	keepdir "${ACCT_USER_HOME}"
	insinto /usr/lib/sysusers.d
	newins - "acct-user-${PN}.conf" <<<"u ${PN} -:${ACCT_USER_GROUPS[0]} \"${DESCRIPTION}\" ${ACCT_USER_HOME} /sbin/nologin"
}

acct-user_pkg_preinst() {
	getent passwd "${PN}" >/dev/null || useradd --system --no-create-home --gid "${ACCT_USER_GROUPS[0]}" \
		--comment "${DESCRIPTION}" --home-dir "${ACCT_USER_HOME}" --shell /sbin/nologin "${PN}" || die
	fowners "${PN}:${ACCT_USER_GROUPS[0]}" "${ACCT_USER_HOME}"
}

EXPORT_FUNCTIONS src_install pkg_preinst
