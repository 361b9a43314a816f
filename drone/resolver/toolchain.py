# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""The base root's toolchain beside the plan's (PORTAGE.md 7). Builds start from the base root and keep its compiler.

Portage adds `>=sys-libs/glibc-VERSION` of the build root to what a binary needs, and code of a newer compiler may ask
its runtime libraries for symbols that older ones lack. So a base root that is *ahead* of the plan gives artifacts that
nobody can install, or that do not run; one that is *behind* gives artifacts that its older compiler made.
"""

from collections.abc import Iterator
from typing import Any

from portage.versions import vercmp

import graph
from words import Finding, finding

_RUNTIME = ("llvm-runtimes/libcxx", "sys-devel/gcc", "sys-libs/glibc", "sys-libs/musl")
"""Which binaries run with; `compat.rs` has the same list."""

_ALL = (*_RUNTIME, "sys-devel/binutils")


def ahead(depgraph: Any) -> list[Finding]:
    """Why nothing can be built here."""
    return [
        finding(
            "base_ahead",
            planned.cpv,
            [],
            f"the base root has {installed}, the plan {planned.cpv}: what is built there needs the newer one, which no"
            " client of this plan has; the drones need an older base root, or the target a newer tree",
        )
        for installed, planned in _moves(depgraph, _RUNTIME)
        if vercmp(installed.version, planned.version) > 0
    ]


def behind(depgraph: Any) -> list[Finding]:
    """What a person should know: the plan moves the toolchain, and the drones' base root does not move with it."""
    return [
        finding(
            "base_behind",
            planned.cpv,
            [],
            f"the plan has {planned.cpv}, the base root {installed}: this run still builds with the older one, until"
            " the drones have a base root with the newer",
        )
        for installed, planned in _moves(depgraph, _ALL)
        if vercmp(installed.version, planned.version) < 0
    ]


def _moves(depgraph: Any, names: tuple[str, ...]) -> Iterator[tuple[Any, Any]]:
    """The newest version of each that is installed in the base root, and the newest that is planned."""
    installed = depgraph._frozen_config._running_root.trees["vartree"].dbapi
    for name in names:
        there = installed.match(name)
        planned = [one for one in graph.planned(depgraph._dynamic_config.digraph) if one.cp == name]
        if there and planned:
            yield there[-1], max(planned)
