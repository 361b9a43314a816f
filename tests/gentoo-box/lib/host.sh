# The host's tools: what `packages/host` lists, installed only where something is missing.
# shellcheck shell=bash

host_packages() {
    local -a wanted missing=()
    local package
    mapfile -t wanted <"$BOX_HOME/packages/host"
    for package in "${wanted[@]}"; do
        [[ -e /var/lib/dpkg/info/$package.list || -e /var/lib/dpkg/info/$package:amd64.list ]] ||
            missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    apt-get -o DPkg::Lock::Timeout=600 -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq install \
        --no-install-recommends "${missing[@]}" >/dev/null
}
