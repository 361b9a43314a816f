# Stands for Gentoo's shell-completion.eclass: as much of it as packaging/gentoo uses.
newbashcomp() {
	insinto /usr/share/bash-completion/completions
	newins "$@"
}

newzshcomp() {
	insinto /usr/share/zsh/site-functions
	newins "$@"
}

dofishcomp() {
	insinto /usr/share/fish/vendor_completions.d
	doins "$@"
}
