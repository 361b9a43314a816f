# The two roots: Debian by mmdebstrap (which asks apt, so the machine's own sources, proxies and
# certificates hold), Portage on top, and a Portage database that knows Debian's libc.
# A root is made under a temporary name and renamed when complete; its name carries the hash of all
# that decides its contents.
# shellcheck shell=bash disable=SC2016 # apt fills in $(…) itself

build_roots() {
    local key kind
    key=$(_root_key)
    rm -rf --one-file-system "$CACHE"/roots/.new-*
    mkdir -p "$CACHE/roots"
    for kind in workstation base; do
        [[ -d $CACHE/roots/$kind-$key ]] || _build_root "$kind" "$key"
        ln -sfn "$kind-$key" "$CACHE/roots/$kind"
    done
    _remove_old_roots "$key"
}

_root_key() {
    cd "$BOX_HOME" && find etc packages/{base,workstation} lib/{root,portage}.sh -type f -print0 |
        sort -z | xargs -0 cat - <(echo "$PORTAGE_VERSION") | sha256sum | cut -c1-12
}

_build_root() {
    local root=$CACHE/roots/.new-$1
    say "building roots/$1-$2"
    _debian "$root" "$BOX_HOME/packages/$1"
    _portage_into "$root"
    _libc_entries "$root"
    _gentoo_names "$root"
    _reboot_command "$root"
    _services "$root"
    mv "$root" "$CACHE/roots/$1-$2"
}

# Mounts that mmdebstrap makes die with its mount namespace, whatever happens to it.
_debian() {
    local include config
    include=$(paste -sd, "$2")
    config=$(mktemp)
    apt-config dump | grep -E '^Acquire::' >"$config"
    debian_sources 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' |
        unshare --mount mmdebstrap --quiet --mode=root --variant=minbase --include="$include" \
            --aptopt="$config" --dpkgopt='path-exclude=/usr/share/doc/*' \
            --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
            "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$1" -
    rm -f "$config" "$1"/etc/apt/{sources.list,apt.conf.d/99mmdebstrap} "$1"/etc/resolv.conf
    # Every box has its own identity.
    rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/{machine-id,hostname}
}

_portage_into() {
    cp -a --no-preserve=ownership "$CACHE/portage/image/." "$1/"
    # It names the Gentoo repository; ours is the only one here.
    rm "$1/usr/share/portage/config/repos.conf"
    cp -a --no-preserve=ownership "$BOX_HOME/etc/portage" "$1/etc/"
    ln -s /var/db/repos/swarm-box/profiles/swarm/amd64 "$1/etc/portage/make.profile"
    echo 'portage:x:250:250:portage:/var/tmp/portage:/usr/sbin/nologin' >>"$1/etc/passwd"
    echo 'portage:x:250:portage' >>"$1/etc/group"
    install -d "$1"/var/{db/{pkg,repos/swarm-box},cache/{swarm-mirror,distfiles,binpkgs,edb}} \
        "$1"/var/lib/{portage,swarm-base,build-drone} "$1"/var/log/portage
    install -d -g 250 -m 775 "$1/var/tmp/portage"
    chown -R 0:250 "$1"/var/{db/pkg,cache/edb,lib/portage}
}

# Portage injects a dependency on the installed libc into every binary with ELF files, and takes a
# binary for changed where the database has no virtual/libc (PORTAGE.md 2, 7).
_libc_entries() {
    local version provides
    version=$(dpkg-query --admindir="$1/var/lib/dpkg" -W -f '${Version}' libc6)
    provides=$(dpkg-query --admindir="$1/var/lib/dpkg" -L libc6 | sed "s|^|$1|" |
        xargs scanelf -BF '%S#F' | grep . | sort -u | paste -sd' ')
    _vdb_entry "$1" sys-libs/glibc "${version%%-*}" 2.2 '' "x86_64: $provides"
    _vdb_entry "$1" virtual/libc 1 0 'sys-libs/glibc:2.2' ''
}

# Portage calls GNU tar gtar; ebuilds call CHOST-gcc, CHOST-ar and their like, and ccache under such a name.
_gentoo_names() {
    local tool
    ln -s tar "$1/usr/bin/gtar"
    for tool in "$1"/usr/bin/x86_64-linux-gnu-*; do
        [[ ! -e $tool ]] || ln -s "${tool##*/}" "${tool/x86_64-linux-gnu-/x86_64-pc-linux-gnu-}"
    done
    for tool in "$1"/usr/lib/ccache/x86_64-linux-gnu-*; do
        [[ ! -L $tool ]] || ln -s ../../bin/ccache "${tool/x86_64-linux-gnu-/x86_64-pc-linux-gnu-}"
    done
}

# _vdb_entry ROOT CATEGORY/NAME VERSION SLOT RDEPEND PROVIDES
_vdb_entry() {
    local dir=$1/var/db/pkg/$2-$3 pf=${2#*/}-$3 field
    mkdir -p "$dir"
    local -A fields=(
        [CATEGORY]=${2%/*} [PF]=$pf [SLOT]=$4 [RDEPEND]=$5 [PROVIDES]=$6 [EAPI]=8
        [repository]=swarm-box [KEYWORDS]=amd64 [USE]='amd64 elibc_glibc kernel_linux'
        [CHOST]=x86_64-pc-linux-gnu [BUILD_TIME]=1 [COUNTER]=1 [DEFINED_PHASES]=-
    )
    for field in "${!fields[@]}"; do
        [[ -z ${fields[$field]} ]] || echo "${fields[$field]}" >"$dir/$field"
    done
    printf 'EAPI=8\nSLOT="%s"\nRDEPEND="%s"\nKEYWORDS="amd64"\n' "$4" "$5" >"$dir/$pf.ebuild"
    : >"$dir/CONTENTS"
    bzip2 -c /dev/null >"$dir/environment.bz2"
}

# A root of an older key that a box still runs on stays until the next time: boxes hold a shared
# lock on theirs.
_remove_old_roots() {
    local root
    for root in "$CACHE"/roots/{base,workstation}-*; do
        [[ $root == *-"$1" ]] || flock --exclusive --nonblock "$root" \
            rm -rf --one-file-system "$root" || say "${root##*/} is in use, kept"
    done
}

# Debian's needs an init system; a box's init is none, and the kernel's call is enough.
_reboot_command() {
    printf '#!/usr/bin/python3\nimport ctypes\nctypes.CDLL(None).reboot(0x1234567)\n' \
        >"$1/usr/local/sbin/reboot"
    chmod 755 "$1/usr/local/sbin/reboot"
}

# Of Debian's services a box starts none: it has its mounts and its network before its first process, and sshd without
# OpenRC. One service says so to those that need them.
_services() {
    [[ -d $1/etc/runlevels ]] || return 0
    find "$1/etc/runlevels" -type l -delete
    printf '#!/sbin/openrc-run\ndepend() { provide net localmount; }\nstart() { :; }\nstop() { :; }\n' \
        >"$1/etc/init.d/box"
    chmod 755 "$1/etc/init.d/box"
    ln -s /etc/init.d/box "$1/etc/runlevels/boot/box"
}
