# Stands for Gentoo's systemd.eclass: as much of it as packaging/gentoo uses.
systemd_dounit() {
	insinto /usr/lib/systemd/system
	doins "$@"
}
