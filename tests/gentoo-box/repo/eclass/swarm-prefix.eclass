# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

# @ECLASS: swarm-prefix.eclass
# @SUPPORTED_EAPIS: 8
# @BLURB: builds into, and against, /opt/swarm
# @DESCRIPTION:
# The roots are Debian's, whose files no package of ours may touch. All of ours live in one prefix,
# and look for each other only there: pkg-config sees no other directory, and programs carry a
# RUNPATH. A dependency that is not staged therefore breaks the build.

if [[ -z ${_SWARM_PREFIX_ECLASS} ]]; then
_SWARM_PREFIX_ECLASS=1

case ${EAPI} in
	8) ;;
	*) die "${ECLASS}: EAPI ${EAPI:-0} not supported" ;;
esac

# @ECLASS_VARIABLE: SWARM_PREFIX
# @DESCRIPTION:
# Where packages live.
SWARM_PREFIX=/opt/swarm

# @FUNCTION: swarm-prefix_flags
# @DESCRIPTION:
# Points compiler, linker and pkg-config at the prefix.
swarm-prefix_flags() {
	export CPPFLAGS="${CPPFLAGS:+${CPPFLAGS} }-I${SWARM_PREFIX}/include"
	export LDFLAGS="${LDFLAGS:+${LDFLAGS} }-L${SWARM_PREFIX}/lib -Wl,-rpath,${SWARM_PREFIX}/lib"
	export PKG_CONFIG_LIBDIR=${SWARM_PREFIX}/lib/pkgconfig
}

# @FUNCTION: swarm-prefix_econf
# @USAGE: [arguments of configure]
# @DESCRIPTION:
# econf with every directory moved into the prefix. Like econf, it gives the last two only to a
# configure that knows them.
swarm-prefix_econf() {
	local documents=()
	if [[ $("${ECONF_SOURCE:-.}/configure" --help) == *--docdir* ]]; then
		documents=(
			--docdir="${SWARM_PREFIX}/share/doc/${PF}"
			--htmldir="${SWARM_PREFIX}/share/doc/${PF}/html"
		)
	fi
	swarm-prefix_flags
	econf \
		--prefix="${SWARM_PREFIX}" \
		--libdir="${SWARM_PREFIX}/lib" \
		--datadir="${SWARM_PREFIX}/share" \
		--mandir="${SWARM_PREFIX}/share/man" \
		--infodir="${SWARM_PREFIX}/share/info" \
		--sysconfdir="${SWARM_PREFIX}/etc" \
		"${documents[@]}" \
		"$@"
}

# @FUNCTION: swarm-prefix_install
# @USAGE: [arguments of make instead of install]
# @DESCRIPTION:
# make install, without libtool's archives.
swarm-prefix_install() {
	emake DESTDIR="${D}" "${@:-install}"
	find "${ED}" -name '*.la' -delete || die
}

fi
