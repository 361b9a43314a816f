# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""Build keys: what decides a build's result and Portage does not compare (PORTAGE.md 2). One package's key is the
BLAKE2b (32 bytes, as hexadecimal digits) over, each with its name and length:

| part | what of it |
|---|---|
| package | its cpv, which the ebuild's shell sees, and its repository |
| ebuild, eclasses | the files' bytes: an ebuild's body may be edited without a new revision |
| files | every file below FILESDIR, by its path there: which ones an ebuild uses, only its shell knows |
| distfiles | what the Manifest says of the archives of this version; those of other versions do not matter |
| use | the enabled flags of IUSE |
| environment | make.globals, the profiles' make.defaults, make.conf and package.env as this package sees them |
| shell | the profiles' bashrc files for it, /etc/portage/bashrc, /etc/portage/env |
| patches | what `eapply_user` would apply |
| toolchain | the versions of the root's compilers and binutils |

A package's key says nothing of what it is built with: sub-slots do, and Portage compares those. Comments and order in
make.conf do not matter, nor do variables that say only where, how fast or how loud to build.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any

import portage
from portage.versions import catpkgsplit, catsplit

import index

_OF_NO_BUILD = (
    # Beginnings of names.
    # What USE is made of comes in by USE; IUSE and what an ebuild sets by the ebuild.
    "BOOTSTRAP_USE",
    "IUSE_IMPLICIT",
    "PROFILE_ONLY_VARIABLES",
    "USE",
    # Where, how fast and how loud; what is taken, and what becomes of it after the build.
    "ACCEPT_",
    "AUTOCLEAN",
    "BINPKG_",
    "CCACHE_",
    "CLEAN_DELAY",
    "COLLISION_IGNORE",
    "CONFIG_PROTECT",
    "DISTCC_",
    "DISTDIR",
    "EMERGE_",
    "FETCHCOMMAND",
    "GENTOO_MIRRORS",
    "INSTALL_MASK",
    "MAKEOPTS",
    "NO_COLOR",
    "NOCOLOR",
    "PKGDIR",
    "PORTAGE_",
    "PORTDIR",
    "QUICKPKG_",
    "RESUMECOMMAND",
    "RPMDIR",
    "SCCACHE_",
    "SYNC",
    "UNINSTALL_IGNORE",
    # Few of them matter: see below.
    "FEATURES",
)
_OF_A_BUILD = ("PORTAGE_COMPRESS", "PORTAGE_COMPRESS_FLAGS", "PORTAGE_COMPRESS_EXCLUDE_SUFFIXES")
"""Exceptions: how man pages and documentation lie in the package."""

_FEATURES = {"compressdebug", "dedupdebug", "installsources", "nodoc", "noinfo", "noman", "nostrip", "splitdebug", "test"}
"""FEATURES that decide what a package holds."""

_TOOLCHAIN = (
    "dev-lang/go",
    "dev-lang/rust",
    "dev-lang/rust-bin",
    "llvm-core/clang",
    "llvm-core/lld",
    "sys-devel/binutils",
    "sys-devel/gcc",
    "sys-kernel/linux-headers",
    "sys-libs/glibc",
    "sys-libs/musl",
)


class Keys:
    """The keys under one configuration."""

    def __init__(self, root_config: Any) -> None:
        self._ebuilds = root_config.trees["porttree"].dbapi
        self._settings = portage.config(clone=root_config.settings)
        installed = root_config.trees["vartree"].dbapi
        self._toolchain = [cpv for name in _TOOLCHAIN for cpv in sorted(map(str, installed.match(name)))]
        self._files: dict[str, bytes] = {}
        self._known: dict[tuple[str, str], str | None] = {}

    def outdated(self, binaries: Iterable[dict[str, Any]]) -> set[index.Binary]:
        """Those of `binaries` that would be built from something else now. What no tree has is for Portage to judge."""
        found = set()
        for binary in binaries:
            for repository in self._repositories(binary["cpv"])[:1]:
                if self.of(binary["cpv"], repository) != binary["key"]:
                    found.add((binary["cpv"], binary["build_id"]))
        return found

    def of(self, cpv: str, repository: str) -> str | None:
        """The key of a version in a repository; none where it is not in it."""
        if (cpv, repository) not in self._known:
            there = repository in self._repositories(cpv)
            self._known[cpv, repository] = self._hashed(cpv, repository) if there else None
        return self._known[cpv, repository]

    def _repositories(self, cpv: str) -> list[str]:
        """The repositories that have it, the one that Portage prefers first."""
        trees = self._ebuilds
        names = reversed(list(trees.getRepositories()))
        return [name for name in names if trees.cpv_exists(cpv, myrepo=name)]

    def _hashed(self, cpv: str, repository: str) -> str:
        trees = self._ebuilds
        metadata = dict(zip(portage.auxdbkeys, trees.aux_get(cpv, list(portage.auxdbkeys), myrepo=repository)))
        metadata["repository"] = repository
        settings = self._settings
        settings.setcpv(cpv, mydb=metadata)
        ebuild, tree = trees.findname2(cpv, myrepo=repository)
        flags = frozenset(settings["PORTAGE_USE"].split())
        directory = os.path.dirname(ebuild)
        hasher = hashlib.blake2b(digest_size=32)
        for name, parts in (
            ("package", [cpv.encode(), repository.encode()]),
            ("ebuild", [self._file(ebuild)]),
            ("eclasses", self._eclasses(tree, metadata["INHERITED"])),
            ("files", self._tree(os.path.join(directory, "files"))),
            ("distfiles", distfiles(directory, trees.getFetchMap(cpv, flags, tree))),
            ("use", [flag.encode() for flag in sorted(flags & self._iuse(metadata["IUSE"]))]),
            ("environment", self._environment()),
            ("shell", self._shell(cpv, metadata["SLOT"])),
            ("patches", self._patches(cpv, metadata["SLOT"])),
            ("toolchain", [version.encode() for version in self._toolchain]),
        ):
            parts = list(parts)
            hasher.update(f"{name} {len(parts)}\n".encode())
            for part in parts:
                hasher.update(f"{len(part)}\n".encode() + part)
        return hasher.hexdigest()

    @staticmethod
    def _iuse(declared: str) -> frozenset[str]:
        return frozenset(flag.lstrip("+-") for flag in declared.split())

    def _file(self, path: str) -> bytes:
        """A file's hash; eclasses are asked for often."""
        if path not in self._files:
            with open(path, "rb") as file:
                self._files[path] = hashlib.file_digest(file, "blake2b").digest()
        return self._files[path]

    def _eclasses(self, tree: str, inherited: str) -> Iterator[bytes]:
        eclasses = self._ebuilds.repositories.get_repo_for_location(tree).eclass_db.eclasses
        for name in sorted(inherited.split()):
            yield name.encode()
            yield self._file(eclasses[name].location)

    def _tree(self, top: str) -> Iterator[bytes]:
        """Regular files and links below a directory; nothing where there is none."""
        for directory, directories, names in os.walk(top):
            directories.sort()
            for name in sorted(names):
                path = os.path.join(directory, name)
                yield os.fsencode(os.path.relpath(path, top))
                mode = os.lstat(path).st_mode
                yield os.fsencode(os.readlink(path)) if stat.S_ISLNK(mode) else self._file(path)

    def _environment(self) -> Iterator[bytes]:
        settings = self._settings
        expanded = set(settings.get("USE_EXPAND", "").split())
        names = {
            name
            for place in ("globals", "defaults", "conf", "pkg")
            for name in settings.configdict[place]
            if name not in expanded and (place != "pkg" or name in self._package_env())
        }
        for name in sorted(names):
            if name in _OF_A_BUILD or not name.startswith(_OF_NO_BUILD):
                yield f"{name}={' '.join(settings.get(name, '').split())}".encode()
        yield " ".join(sorted(_FEATURES & set(settings.features))).encode()

    def _package_env(self) -> set[str]:
        """The variables that package.env sets for the package that the settings are set to."""
        names: set[str] = set()
        for name in self._settings._penv:
            file = os.path.join(self._settings["PORTAGE_CONFIGROOT"], "etc/portage/env", name)
            names.update(portage.util.getconfig(file, tolerant=True, allow_sourcing=True, expand=False) or ())
        return names

    def _shell(self, cpv: str, slot: str) -> Iterator[bytes]:
        """What `__source_all_bashrcs` of ebuild.sh sources."""
        root = os.path.join(self._settings["PORTAGE_CONFIGROOT"], "etc/portage")
        yield from self._present(self._settings._pbashrc)
        category, _ = catsplit(cpv)
        bashrc = os.path.join(root, "bashrc")
        bashrcs = [bashrc]
        if os.path.isdir(bashrc):
            bashrcs = [os.path.join(bashrc, name) for name in sorted(os.listdir(bashrc))]
        yield from self._present(bashrcs)
        own = [os.path.join(root, "env", category, name) for name in _names(cpv, slot)]
        yield from self._present([os.path.join(root, "env", category), *own])

    def _present(self, paths: Iterable[str]) -> Iterator[bytes]:
        for path in paths:
            if os.path.isfile(path):
                yield path.encode()
                yield self._file(path)

    def _patches(self, cpv: str, slot: str) -> Iterator[bytes]:
        category, _ = catsplit(cpv)
        root = os.path.join(self._settings["PORTAGE_CONFIGROOT"], "etc/portage/patches", category)
        for name in _names(cpv, slot):
            directory = os.path.join(root, name)
            patches = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
            yield from self._present(os.path.join(directory, patch) for patch in patches)


def distfiles(directory: str, wanted: Iterable[str]) -> Iterator[bytes]:
    """Lines of a package's Manifest, ordered: `DIST name size HASH digest …` (GLEP 74)."""
    wanted = set(wanted)
    try:
        with open(os.path.join(directory, "Manifest"), encoding="utf-8") as file:
            lines = sorted(file)
    except FileNotFoundError:
        return
    for line in lines:
        words = line.split()
        if len(words) > 2 and words[0] == "DIST" and words[1] in wanted:
            yield " ".join(words).encode()


def _names(cpv: str, slot: str) -> list[str]:
    """As files of portage(5) name a package: with version and revision, with version, without; each with a slot, too."""
    _, name, version, revision = catpkgsplit(cpv)
    slot = slot.partition("/")[0]
    found = []
    for spelling in (f"{name}-{version}-{revision}", f"{name}-{version}", name):
        found += [spelling, f"{spelling}:{slot}"]
    return found
