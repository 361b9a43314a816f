# Copyright 2026 the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2 or later

EAPI=8

inherit shell-completion systemd

DESCRIPTION="Build swarm: spare machines compile, workstations install from one binhost"
HOMEPAGE="https://github.com/build-swarm/build-swarm"

# One text for both: packaging/gentoo-repository copies it to build-swarm-VERSION.ebuild.
if [[ ${PV} == 9999 ]]; then
	PROPERTIES="live"
else
	SRC_URI="
		https://github.com/build-swarm/build-swarm/releases/download/v${PV}/${P}.tar.xz
		https://github.com/build-swarm/build-swarm/releases/download/v${PV}/${P}-crates.tar.xz
	"
	KEYWORDS="~amd64"
fi

LICENSE="GPL-2+"
# Of the crates that are linked in.
LICENSE+=" Apache-2.0 BSD BZIP2 ISC MIT Unicode-3.0 ZLIB"
SLOT="0"
IUSE="+binhost debug +drone +orchestrator"
# They want root, namespaces, PostgreSQL, Redis and a browser: see CONTRIBUTING.md.
RESTRICT="test"

# xz-utils: liblzma-sys compiles a copy of its own where the system's is older.
DEPEND="
	app-arch/zstd:=
	binhost? ( >=app-arch/xz-utils-5.8.0:= )
"
RDEPEND="
	${DEPEND}
	virtual/openssh
	binhost? ( acct-user/build-binhost )
	drone? (
		dev-vcs/git
		sys-apps/bubblewrap
	)
	orchestrator? ( acct-user/build-orchestrator )
"
BDEPEND="
	|| (
		>=dev-lang/rust-bin-1.95.0:*
		>=dev-lang/rust-1.95.0:*
	)
	virtual/pkgconfig
"
[[ ${PV} != 9999 ]] || BDEPEND+=" dev-vcs/git"

# Rust has flags of its own.
QA_FLAGS_IGNORED="usr/bin/(build-.*|swarm)"

# Calls cargo of the newest rust-bin that is installed, or else rust: `eselect rust` may have chosen an older one.
swarm_cargo() {
	local kind version bin
	for kind in rust-bin:/opt/rust-bin- rust:/usr/lib/rust/; do
		version=$(best_version -b ">=dev-lang/${kind%%:*}-1.95.0")
		version=${version#dev-lang/"${kind%%:*}"-}
		bin=${BROOT}${kind#*:}${version%-r*}/bin
		if [[ ${version} && -x ${bin}/cargo ]]; then
			local -x PATH=${bin}:${PATH}
			break
		fi
	done
	set -- cargo "$@"
	einfo "$*"
	"$@" || die "cargo failed"
}

# The sources, and in ${P}-crates what they link with: what a release has in two archives, a live ebuild brings here.
src_unpack() {
	if [[ ${PV} != 9999 ]]; then
		default
		return
	fi
	git clone --quiet --depth 1 "${EGIT_OVERRIDE_REPO_BUILD_SWARM_BUILD_SWARM:-${HOMEPAGE}}" "${S}" || die
	local -x CARGO_HOME=${ECARGO_REGISTRY_DIR:-${PORTAGE_ACTUAL_DISTDIR:-${DISTDIR}}/cargo-registry}
	addwrite "${CARGO_HOME}"
	cd "${S}" || die
	swarm_cargo vendor --locked --quiet ${EVCS_OFFLINE:+--offline} "${WORKDIR}/${P}-crates"
}

src_configure() {
	mkdir "${WORKDIR}/cargo-home" || die
	cat >"${WORKDIR}/cargo-home/config.toml" <<-EOF || die
		[source.crates-io]
		replace-with = "unpacked"
		[source.unpacked]
		directory = "${WORKDIR}/${P}-crates"
		[term]
		verbose = true
		progress.when = "never"
	EOF
}

# As many at once as MAKEOPTS says.
swarm_jobs() {
	[[ " ${MAKEOPTS}" =~ .*[[:space:]](-j|--jobs)[=[:space:]]*([0-9]+) ]] && echo "--jobs ${BASH_REMATCH[2]}"
}

src_compile() {
	local -x CARGO_HOME=${WORKDIR}/cargo-home
	# The system's libzstd, as its liblzma. Objects of gcc's LTO cannot be linked with Rust's.
	local -x ZSTD_SYS_USE_PKG_CONFIG=1 CFLAGS="${CFLAGS} -fno-lto"
	local -x CC=${CC:-${CHOST}-gcc} AR=${AR:-${CHOST}-ar} PKG_CONFIG=${PKG_CONFIG:-${CHOST}-pkg-config}
	local linker option
	read -ra linker <<<"${CC} ${LDFLAGS}"
	# Portage strips.
	local -x RUSTFLAGS="${RUSTFLAGS} -C strip=none -C linker=${linker[0]}"
	for option in "${linker[@]:1}"; do
		RUSTFLAGS+=" -C link-arg=${option}"
	done
	if [[ ${PV} == 9999 ]]; then
		local -x BUILD_SWARM_COMMIT
		BUILD_SWARM_COMMIT=$(git rev-parse --short=12 HEAD) || die
	fi
	swarm_cargo build --frozen --profile $(usex debug dev release) $(swarm_jobs) --package swarm \
		$(usev binhost '--package build-binhost') \
		$(usev drone '--package build-drone') \
		$(usev orchestrator '--package build-orchestrator')

	local swarm shell
	swarm=$(swarm_built)/swarm
	"${swarm}" man "${T}/man" || die
	for shell in bash zsh fish; do
		"${swarm}" completions ${shell} >"${T}/swarm.${shell}" || die
	done
}

swarm_built() { echo "${CARGO_TARGET_DIR:-${S}/target}/$(usex debug debug release)"; }

# swarm_daemon ROLE: the program, its services, and an example of its configuration.
swarm_daemon() {
	dobin "$(swarm_built)/build-${1}"
	newinitd "openrc/init.d/build-${1}" "build-${1}"
	newconfd "openrc/conf.d/build-${1}" "build-${1}"
	systemd_dounit "systemd/build-${1}.service"
	newdoc "${1}/README.md" "${1}.md"
	docinto examples
	dodoc "${1}/${1}.example.toml"
	docinto .
}

src_install() {
	dobin "$(swarm_built)/swarm"
	doman "${T}"/man/*
	newbashcomp "${T}/swarm.bash" swarm
	newzshcomp "${T}/swarm.zsh" _swarm
	dofishcomp "${T}/swarm.fish"

	dodoc README.md docs/*.md
	newdoc cron/README.md cron.md
	docinto examples/cron
	dodoc cron/{cronie,dcron,fcron}
	docinto .
	# Examples are there to be copied.
	docompress -x "/usr/share/doc/${PF}/examples"

	systemd_dounit cron/swarm-nightly@.{service,timer}
	local role
	for role in binhost drone orchestrator; do
		use ${role} && swarm_daemon ${role}
	done
	insinto /etc/logrotate.d
	newins openrc/logrotate build-swarm
	keepdir /etc/build-swarm /var/log/build-swarm
}

pkg_postinst() {
	[[ -z ${REPLACING_VERSIONS} ]] || return
	elog "Each daemon wants a file in /etc/build-swarm: /usr/share/doc/${PF}/examples has one with every field."
	elog "README.md, beside it, says how a swarm is set up."
	if use orchestrator; then
		elog "Without database.url and redis.url the orchestrator runs servers of its own: emerge"
		elog "dev-db/postgresql[server] and dev-db/redis for these."
	fi
	if use drone; then
		elog "'build-drone preflight' says what this machine lacks."
	fi
}
