# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""What packages wait for: the runtime closure of their build-time dependencies, without themselves.

It is the orchestrator's rule (`graph.rs` there), so cycles are those of the waits, which Portage need not report.
"""

from collections.abc import Iterable
from typing import Any

Edges = dict[int, dict[int, list[str]]]
"""Of a plan: dependent, dependency, kinds."""


def edges_of(plan: dict[str, Any]) -> Edges:
    found: Edges = {}
    for dependent, dependency, kinds in plan["edges"]:
        found.setdefault(dependent, {})[dependency] = kinds
    return found


def needs(edges: Edges, package: int) -> set[int]:
    """What is in the root where a package is built: itself too, where something that it builds with needs it."""
    return runtime(edges, (end for end, kinds in edges.get(package, {}).items() if "buildtime" in kinds))


def runtime(edges: Edges, packages: Iterable[int]) -> set[int]:
    """The runtime closure of packages, themselves included."""
    found: set[int] = set()
    pending = [*packages]
    while pending:
        one = pending.pop()
        if one not in found:
            found.add(one)
            pending += needed_at_run_time(edges, one)
    return found


def needed_at_run_time(edges: Edges, package: int) -> list[int]:
    return [end for end, kinds in edges.get(package, {}).items() if "runtime" in kinds]


def of(edges: Edges, package: int) -> set[int]:
    return needs(edges, package) - {package}


def components(edges: Edges, among: Iterable[int]) -> list[list[int]]:
    """The packages that wait for each other, without those that wait for none."""
    waits: dict[int, set[int]] = {}

    def waited(package: int) -> set[int]:
        if package not in waits:
            waits[package] = of(edges, package)
        return waits[package]

    found: list[list[int]] = []
    number, low, trail, on_trail = {}, {}, [], set()
    # Tarjan's algorithm, with a stack of its own: chains of waits are longer than Python's.
    for start in among:
        work = [(start, iter(()))] if start not in number else []
        while work:
            package, rest = work[-1]
            if package not in number:
                number[package] = low[package] = len(number)
                trail.append(package)
                on_trail.add(package)
                rest = iter(sorted(waited(package)))
                work[-1] = (package, rest)
            following = next((one for one in rest if one not in number or one in on_trail), None)
            if following is None:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[package])
                if low[package] == number[package]:
                    place = trail.index(package)
                    component, trail[place:] = trail[place:], []
                    on_trail.difference_update(component)
                    if len(component) > 1:
                        found.append(sorted(component))
            elif following in on_trail:
                low[package] = min(low[package], number[following])
            else:
                work.append((following, iter(())))
    return sorted(found)


def region(edges: Edges, members: list[int]) -> list[int]:
    """The members, and what their waits go through: it waits for none of them, and needs some at run time."""
    at_run_time = {one: needed_at_run_time(edges, one) for one in edges}
    needed = set().union(*(of(edges, member) for member in members))
    found = set(members)
    while True:
        grown = {one for one in needed - found if found.intersection(at_run_time.get(one, ()))}
        if not grown:
            return [*members, *sorted(found.difference(members))]
        found |= grown
