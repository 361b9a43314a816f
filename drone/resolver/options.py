# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""What Portage is asked, as the command line that a person would type.

Portage parses these itself (`_emerge.main.parse_opts`), so an option means here what it means in emerge(1), in every
version of Portage that knows it. `EMERGE_DEFAULT_OPTS` is read by `emerge_main` only, which is not called.
"""


def build_graph() -> list[str]:
    """The options of a run's build graph (PORTAGE.md 2): everything that the world needs, from nothing.

    `--emptytree`               what the base root has installed is planned like all else
    `--usepkg --getbinpkg`      a binary of the index is taken where Portage accepts it: that package is kept
    `--binpkg-respect-use=y`    … not with another USE
    `--binpkg-changed-deps=y`   … nor with dependencies that the ebuild no longer has
    `--newuse --changed-slot=y` likewise for IUSE, slot and sub-slot
    `--use-ebuild-visibility=y` … nor of a version that the trees no longer have, or mask: the epoch could not build it
    `--with-bdeps=n`            what a kept binary was built with is not needed any more
    `--autounmask=n`            Portage reports what it would change, and changes nothing
    """
    return [
        "--pretend",
        "--color=n",
        "--ask=n",
        "--emptytree",
        "--newuse",
        "--changed-slot=y",
        "--usepkg",
        "--getbinpkg",
        "--binpkg-respect-use=y",
        "--binpkg-changed-deps=y",
        "--use-ebuild-visibility=y",
        "--with-bdeps=n",
        "--autounmask=n",
        "--verbose-slot-rebuilds=n",
        "@world",
    ]
