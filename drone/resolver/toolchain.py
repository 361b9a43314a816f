# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""The base root's toolchain beside the plan's (PORTAGE.md 7). Builds start from the base root and keep its compiler.

Portage adds `>=sys-libs/glibc-VERSION` of the build root to what a binary needs, and code of a newer compiler may ask
its runtime libraries for symbols that older ones lack. So a base root that is *ahead* of the plan gives artifacts that
nobody can install, or that do not run; one that is *behind* gives artifacts that its older compiler made. Then the plan
says what a base root that is not behind has of it, and where the target has a definition, the run after this one is built
in such a root (the orchestrator's `toolchain.rs`).
"""

from collections.abc import Iterator
from typing import Any

from portage.versions import vercmp

import graph
import waits
from words import Finding, finding

_RUNTIME = ("sys-libs/glibc", "sys-libs/musl", "llvm-runtimes/libcxx", "sys-devel/gcc")
"""Which binaries run with, the C library first, which all the others need; `compat.rs` has the same ones."""

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
    """What a person should know: the plan moves the toolchain, and is still built with the older one."""
    return [
        finding(
            "base_behind",
            planned.cpv,
            [],
            f"the plan has {planned.cpv}, the base root {installed}: this run still builds with the older one; the next"
            " builds with the newer, where the target has a definition, else as soon as the drones' base root has it",
        )
        for installed, planned in _moves(depgraph, _ALL)
        if vercmp(installed.version, planned.version) < 0
    ]


def wanted(depgraph: Any, edges: waits.Edges) -> list[str]:
    """All that a base root has of the plan's toolchain, each after what it needs at run time; nothing, where the base root is
    not behind."""
    packages = graph.planned(depgraph._dynamic_config.digraph)
    found: dict[int, None] = {}
    seen: set[int] = set()

    def visit(place: int) -> None:
        if place not in seen:
            seen.add(place)
            for end in waits.needed_at_run_time(edges, place):
                visit(end)
            found[place] = None

    if behind(depgraph):
        for _, planned in _moves(depgraph, _ALL):
            visit(packages.index(planned))
    return [str(packages[place].cpv) for place in found]


def _moves(depgraph: Any, names: tuple[str, ...]) -> Iterator[tuple[Any, Any]]:
    """The newest version of each that is installed in the base root, and the newest that is planned."""
    installed = depgraph._frozen_config._running_root.trees["vartree"].dbapi
    for name in names:
        there = installed.match(name)
        planned = [one for one in graph.planned(depgraph._dynamic_config.digraph) if one.cp == name]
        if there and planned:
            yield there[-1], max(planned)
