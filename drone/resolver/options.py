# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""What Portage is asked, as the command line that a person would type.

Portage parses these itself (`_emerge.main.parse_opts`), so an option means here what it means in emerge(1), in every
version of Portage that knows it. `EMERGE_DEFAULT_OPTS` is read by `emerge_main` only, which is not called.
"""

_ALWAYS = [
    "--pretend",
    "--color=n",
    "--ask=n",
    "--getbinpkg",
    "--newuse",
    # Portage reports what it would change, and changes nothing.
    "--autounmask=n",
    "--verbose-slot-rebuilds=n",
]

_WORLD = ["@world"]


def build_graph(wants: list[str]) -> list[str]:
    """The options of a run's build graph (PORTAGE.md 2): everything that the world and the wants need, from nothing.

    `--emptytree`               what the base root has installed is planned like all else
    `--usepkg --getbinpkg`      a binary of the index is taken where Portage accepts it: that package is kept
    `--binpkg-respect-use=y`    … not with another USE
    `--binpkg-changed-deps=y`   … nor with dependencies that the ebuild no longer has
    `--newuse --changed-slot=y` likewise for IUSE, slot and sub-slot
    `--use-ebuild-visibility=y` … nor of a version that the trees no longer have, or mask: the epoch could not build it
    `--with-bdeps=n`            what a kept binary was built with is not needed any more
    """
    return [
        *_ALWAYS,
        "--emptytree",
        "--changed-slot=y",
        "--usepkg",
        "--binpkg-respect-use=y",
        "--binpkg-changed-deps=y",
        "--use-ebuild-visibility=y",
        "--with-bdeps=n",
        *_WORLD,
        *(f"={cpv}" for cpv in wants),
    ]


def update() -> list[str]:
    """A workstation's update that may compile: the gate's first question (PORTAGE.md 1), and that of `swarm update`, since
    whatever it would compile, the generation lacks; and what a workstation wants of a run, before anything is built.

    `--rebuilt-binaries=y`      what was built again is installed again: `--usepkgonly` implies it, `--usepkg` does not
    `--binpkg-respect-use=y`    a binary with another USE is none
    """
    return [
        *_ALWAYS,
        "--usepkg",
        "--update",
        "--deep",
        "--rebuilt-binaries=y",
        "--binpkg-respect-use=y",
        *_WORLD,
    ]


def binaries_alone() -> list[str]:
    """The gate's second question: what the workstation's own command does, which never compiles and is silent about
    what it leaves out. (`emerge_main` derives `--usepkg` from `--usepkgonly`, but is not called.)"""
    return [*_ALWAYS, "--usepkg", "--usepkgonly", "--update", "--deep", *_WORLD]
