# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""The plan in Portage's digraph: packages, and typed edges between them.

The same graph gives the same bytes: packages are ordered by cpv, edges by their ends.
"""

from collections.abc import Iterator
from typing import Any

from _emerge.Package import Package

from about import About
from keys import Keys

KINDS = ("buildtime", "runtime", "runtime_post")
"""Of an edge, as `_emerge.DepPriority` prints them. IDEPEND is `runtime` there."""


class NoPlan(Exception):
    """The depgraph holds what cannot be in a plan."""


def planned(digraph: Any) -> list[Package]:
    """What is to be merged, by cpv. What is installed in the base root and stays is not of the plan."""
    nodes = [node for node in digraph if isinstance(node, Package) and node.operation == "merge"]
    return sorted(nodes, key=lambda package: str(package.cpv))


def plan(depgraph: Any, built: Keys, about: About) -> dict[str, Any]:
    digraph = depgraph._dynamic_config.digraph
    packages = planned(digraph)
    places = {package: place for place, package in enumerate(packages)}
    if len({package.cpv for package in packages}) != len(packages):
        raise NoPlan("a version is to be merged twice: from two repositories, or into two roots")
    edges = {
        (places[dependent], places[dependency]): kinds(priorities)
        for dependent in packages
        for dependency, priorities in digraph.nodes[dependent][0].items()
        if dependency in places and dependency is not dependent
    }
    return {
        "packages": [described(package, built, about) for package in packages],
        "edges": [[*ends, found] for ends, found in sorted(edges.items()) if found],
        "system": sorted(str(atom) for atom in depgraph._frozen_config._running_root.sets["system"].getAtoms()),
    }


def described(package: Package, built: Keys, about: About) -> dict[str, Any]:
    slot, sub_slot = package.slot, package.sub_slot
    description = {
        "cpv": str(package.cpv),
        "slot": slot if sub_slot == slot else f"{slot}/{sub_slot}",
        "repository": str(package.repo),
        # USE also lists what the profile adds to every package.
        "use": sorted(package.use.enabled & package.iuse.all),
        "key": built.of(str(package.cpv), str(package.repo)),
        "about": about.of(package),
    }
    if package.type_name == "binary":
        description["keep"] = build_id(package)
    return description


def build_id(package: Package) -> int:
    number = getattr(package.cpv, "build_id", None)
    if not isinstance(number, int):
        raise NoPlan(f"the index gives no BUILD_ID for {package.cpv}")
    return number


def kinds(priorities: list[Any]) -> list[str]:
    """The kinds that an edge has; the `_slot_op` variants are the same dependencies, bound to a sub-slot."""
    found = {kind for priority in priorities for kind in kinds_of(priority)}
    return [kind for kind in KINDS if kind in found]


def kinds_of(priority: Any) -> Iterator[str]:
    for kind in KINDS:
        # Priorities of sets and blockers have none of these.
        if getattr(priority, kind, None) or getattr(priority, f"{kind}_slot_op", None):
            yield kind
