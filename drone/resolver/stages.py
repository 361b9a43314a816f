# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""Packages that wait for each other, and what stands for some of them until they are built (PORTAGE.md 4).

A flag may break a cycle if with it off a member needs less of the others. What the dependencies are then is read from
the ebuild: Portage's own solutions (`--circular-deps-report`) end where a parent demands the flag, which an early stage
need not care for. Where no flag breaks it, earlier builds may: `substitutes.py`.

A package whose own tools need it at run time waits for nobody, yet they do not work without it. Where an earlier build
of it can stand for it, and the base root has none, it is staged as well, alone.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from portage.dep import check_required_use

import atoms
import graph
import waits
from substitutes import Earlier, Substitutes
from waits import Edges
from words import Finding, finding

MOST_TRIES = 2000
"""For a component; each is a walk over its edges."""


def stage(depgraph: Any, plan: dict[str, Any], earlier: Earlier) -> list[Finding]:
    """Adds the stagings to the plan; the findings are the components that nothing breaks."""
    packages = graph.planned(depgraph._dynamic_config.digraph)
    edges = waits.edges_of(plan)
    stagings, findings = [], []
    groups = waits.components(edges, range(len(packages)))
    while groups:
        members = groups.pop(0)
        reduced = _reduced(packages, edges, members)
        if reduced is None:
            substitutes = Substitutes(packages, edges, members, earlier)
            if substitutes.chosen:
                stagings.append({"members": members, "substitutes": substitutes.described()})
            else:
                findings.append(_unbreakable(packages, edges, members, substitutes.refused))
            continue
        # One package cannot be an early stage twice: whoever shares one is staged together.
        shared = {one["package"] for one in reduced}
        others = [one for one in stagings if shared & {less["package"] for less in one.get("reduced", ())}]
        if others:
            stagings = [one for one in stagings if one not in others]
            groups.insert(0, sorted({*members, *(member for one in others for member in one["members"])}))
        else:
            stagings.append({"members": members, "reduced": reduced})
    staged = {member for one in stagings for member in one["members"]}
    for place, package in enumerate(packages):
        if place not in staged and earlier.has_binary(package) and place in waits.needs(edges, place):
            substitutes = Substitutes(packages, edges, [place], earlier)
            if any(not one.installed for one in substitutes.chosen.values()):
                stagings.append({"members": [place], "substitutes": substitutes.described()})
    plan["stagings"] = stagings
    return findings


def _reduced(packages: list[Any], edges: Edges, members: list[int]) -> list[dict[str, Any]] | None:
    """The fewest flags to turn off so that no member waits for itself; none is that no flags do it."""
    region = waits.region(edges, members)
    candidates = [(package, flag) for package in region for flag in _affecting(packages, edges, region, package)]
    choices = (choice for size in range(1, len(candidates) + 1) for choice in itertools.combinations(candidates, size))
    for choice in itertools.islice(choices, MOST_TRIES):
        flags: dict[int, set[str]] = {}
        for package, flag in choice:
            flags.setdefault(package, set()).add(flag)
        less = {member: _edges_without(packages, edges, member, off) for member, off in flags.items()}
        if None in less.values() or _demanded(packages, {**edges, **less}, members, flags):
            continue
        if not waits.components({**edges, **less}, region):
            return [
                {
                    "package": member,
                    "disabled": sorted(flags[member]),
                    "edges": [[end, kinds] for end, kinds in sorted(less[member].items())],
                }
                for member in sorted(flags)
            ]
    return None


def _affecting(packages: list[Any], edges: Edges, region: list[int], member: int) -> list[str]:
    """The flags of a package that can be off, and with which off it needs less of the region."""
    package = packages[member]
    own = (package.use.enabled & package.iuse.all) - package.use.force
    before = {end for end in edges.get(member, {}) if end in region}

    def needs_less(flag: str) -> bool:
        after = _edges_without(packages, edges, member, {flag})
        return after is not None and any(after.get(end) != edges[member][end] for end in before)

    return [flag for flag in sorted(own) if needs_less(flag)]


def _edges_without(packages: list[Any], edges: Edges, member: int, off: set[str]) -> dict[int, list[str]] | None:
    """A package's edges with these flags off; none where that cannot be, or needs what is not planned."""
    package = packages[member]
    use = package.use.enabled - off
    required = package._metadata.get("REQUIRED_USE", "")
    if required and not check_required_use(required, use, package.iuse.is_valid_flag, eapi=package.eapi):
        return None
    less: dict[int, list[str]] = {}
    for kind, variables in atoms.VARIABLES.items():
        wanted = atoms.alternatives(package, variables, use)
        former = {str(atom) for atom in atoms.alternatives(package, variables, package.use.enabled)}
        for end, kinds in edges.get(member, {}).items():
            if kind in kinds and any(atoms.matches(atom, packages[end]) for atom in wanted):
                less.setdefault(end, []).append(kind)
        for atom in wanted:
            if str(atom) not in former:
                ends = [end for end, other in enumerate(packages) if end != member and atoms.matches(atom, other)]
                if not ends:
                    return None
                less.setdefault(ends[-1], []).append(kind)
    return {end: [kind for kind in atoms.VARIABLES if kind in kinds] for end, kinds in less.items()}


def _demanded(packages: list[Any], edges: Edges, members: list[int], flags: dict[int, set[str]]) -> bool:
    """Whether something in the roots of the first stage demands a flag that is off."""
    roots = set(members).union(*(waits.of(edges, member) for member in members))
    for parent in roots:
        use = packages[parent].use.enabled - flags.get(parent, set())
        for atom in atoms.alternatives(packages[parent], atoms.IN_ROOTS, use):
            for member, off in flags.items():
                if atom.use and atom.use.enabled & off and member != parent and atoms.matches(atom, packages[member]):
                    return True
    return False


def _unbreakable(packages: list[Any], edges: Edges, members: list[int], refused: list[str]) -> Finding:
    names = [str(packages[member].cpv) for member in members]
    said = ["These packages wait for each other, and no flag of theirs that could be off breaks it:"]
    said += [_edge(packages, edges, dependent, end) for dependent, end in _inner(edges, members)]
    said += ["Nor does an earlier build of theirs:", *(refused or ["there is none"])]
    return finding("cycle", names[0], names[1:], "\n".join(said))


def _inner(edges: Edges, members: list[int]) -> Iterator[tuple[int, int]]:
    for dependent in members:
        for end in sorted(edges.get(dependent, {})):
            if end in members:
                yield dependent, end


def _edge(packages: list[Any], edges: Edges, dependent: int, end: int) -> str:
    """As in `a/x-1 needs a/y-1 (buildtime, runtime; USE: foo)`: with one of these flags off, it would need less of it."""
    package, kinds = packages[dependent], edges[dependent][end]
    decisive = [
        flag
        for flag in sorted(package.use.enabled & package.iuse.all)
        if (_edges_without(packages, edges, dependent, {flag}) or {}).get(end, []) != kinds
    ]
    use = f"; USE: {' '.join(decisive)}" if decisive else ""
    return f"{package.cpv} needs {packages[end].cpv} ({', '.join(kinds)}{use})"
