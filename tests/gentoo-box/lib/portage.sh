# Portage from its source distribution, built once into portage/image, an installable tree.
# The interpreter is Debian's own, for the C extensions must fit the python3 inside the roots.
# shellcheck shell=bash

build_portage() {
    local dir=$CACHE/portage-$PORTAGE_VERSION new=$CACHE/.new-portage
    [[ -d $dir ]] || {
        say "building portage $PORTAGE_VERSION"
        rm -rf "$new"
        mkdir -p "$new"
        _portage_tools "$new/tools"
        PATH=$new/tools/bin:$PATH _portage_sdist "$new"
        PATH=$new/tools/bin:$PATH _portage_image "$new"
        rm -rf "$new/tools" "$new/build"
        mv "$new" "$dir"
    }
    ln -sfn "${dir##*/}" "$CACHE/portage"
}

# pip asks a source distribution for its metadata even to download it, hence the build backend.
_portage_tools() {
    /usr/bin/python3 -m venv "$1"
    "$1/bin/pip" install --quiet meson meson-python
}

_portage_sdist() {
    pip download --quiet --dest "$1" --no-binary :all: --no-deps --no-build-isolation \
        "portage==$PORTAGE_VERSION"
    tar -xf "$1/portage-$PORTAGE_VERSION.tar.gz" -C "$1"
    mv "$1/portage-$PORTAGE_VERSION" "$1/source"
}

_portage_image() {
    local packages=/usr/lib/python3/dist-packages
    meson setup "$1/build" "$1/source" -Dsystem-wide=true --prefix=/usr --sysconfdir=/etc \
        --localstatedir=/var -Dpython.purelibdir=$packages -Dpython.platlibdir=$packages \
        >"$1/meson.log"
    DESTDIR=$1/image meson install -C "$1/build" >>"$1/meson.log"
    # `env python` is nobody's name on Debian.
    grep -rlIE '^#!/usr/bin/env python$' "$1/image/usr" |
        xargs sed -i '1s|^#!/usr/bin/env python$|#!/usr/bin/python3|'
}
