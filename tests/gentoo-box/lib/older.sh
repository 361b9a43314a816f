# An older Portage, as many machines still have it: a layer that `box up --older` lays over a root.
# It holds Portage's files and nothing else; its directories hide those of the newer one.
# shellcheck shell=bash

build_older() {
    local layer=$CACHE/older/layer-$OLDER_PORTAGE_VERSION new=$CACHE/older/.new-layer
    [[ -d $layer ]] || {
        (CACHE=$CACHE/older PORTAGE_VERSION=$OLDER_PORTAGE_VERSION build_portage)
        rm -rf "$new"
        mkdir "$new"
        cp -a --no-preserve=ownership "$CACHE/older/portage/image/." "$new/"
        # It names the Gentoo repository; ours is the only one here.
        rm "$new/usr/share/portage/config/repos.conf"
        # Portage is in no database of these roots: else both would be one base root.
        install -D -m 644 <(echo "portage $OLDER_PORTAGE_VERSION") "$new/etc/build-swarm/base-id"
        _hide_beneath "$new"/usr/lib/{portage,python3/dist-packages/{_emerge,portage}} "$new/usr/share/portage"
        mv "$new" "$layer"
    }
    ln -sfn "${layer##*/}" "$CACHE/older/layer"
}

# overlayfs.rst, "whiteouts and opaque directories"
_hide_beneath() {
    /usr/bin/python3 -c 'import os, sys
for directory in sys.argv[1:]:
    os.setxattr(directory, "trusted.overlay.opaque", b"y")' "$@"
}
