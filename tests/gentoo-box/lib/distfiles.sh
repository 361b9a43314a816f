# The sources our ebuilds name: upstream's tarballs as Debian's pool keeps them, fetched by apt's
# own downloader and checked against the Manifests. A file's name tells its place in the pool.
# shellcheck shell=bash disable=SC2016 # apt fills in $(…) itself

# fetch_distfile NAME [SHA512]: into distfiles/, whole or not at all.
fetch_distfile() {
    local source=${1%%_*} shelf mirror
    shelf=${source:0:1}
    [[ $source != lib* ]] || shelf=${source:0:4}
    read -r mirror _ < <(debian_sources '$(REPO_URI) $(RELEASE) $(COMPONENT)')
    say "fetching $1"
    rm -f "$CACHE/distfiles/.new-$1"*
    /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root download-file \
        "${mirror}pool/main/$shelf/$source/$1" "$CACHE/distfiles/.new-$1" ${2:+"SHA512:$2"}
    mv "$CACHE/distfiles/.new-$1" "$CACHE/distfiles/$1"
}

# What is there has been checked when it was fetched; a Manifest that changed its mind about a
# size is seen, the rest Portage itself checks at every build.
fetch_distfiles() {
    local name size sha512
    mkdir -p "$CACHE/distfiles"
    while read -r name size sha512; do
        [[ -f $CACHE/distfiles/$name && $(stat -c %s "$CACHE/distfiles/$name") == "$size" ]] ||
            fetch_distfile "$name" "$sha512"
    done < <(sed -nsE 's/^DIST (\S+) ([0-9]+) .*SHA512 ([0-9a-f]+).*/\1 \2 \3/p' "$REPO"/*/*/Manifest)
}
