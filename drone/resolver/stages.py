# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""Packages that wait for each other, and with which flags off some of them come first (PORTAGE.md 4).

What a package waits for is the runtime closure of its build-time dependencies, without itself: the orchestrator's rule
(`graph.rs` there), so cycles are those of the waits, which Portage need not report. A flag may break one if with it off
a member needs less of the others. What the dependencies are then is read from the ebuild: Portage's own solutions
(`--circular-deps-report`) end where a parent demands the flag, which an early stage need not care for.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from portage.dep import Atom, check_required_use, match_from_list, use_reduce

import graph
from words import Finding, finding

VARIABLES = {"buildtime": ("DEPEND", "BDEPEND"), "runtime": ("RDEPEND", "IDEPEND"), "runtime_post": ("PDEPEND",)}
"""Where the edges of a kind come from."""

MOST_TRIES = 2000
"""For a component; each is a walk over its edges."""

Edges = dict[int, dict[int, list[str]]]
"""Of a plan: dependent, dependency, kinds."""


def stage(depgraph: Any, plan: dict[str, Any]) -> list[Finding]:
    """Adds the stagings to the plan; the findings are the components that nothing breaks."""
    packages = graph.planned(depgraph._dynamic_config.digraph)
    edges: Edges = {}
    for dependent, dependency, kinds in plan["edges"]:
        edges.setdefault(dependent, {})[dependency] = kinds
    plan["stagings"], findings = [], []
    groups = components(edges, range(len(packages)))
    while groups:
        members = groups.pop(0)
        reduced = _reduced(packages, edges, members)
        if reduced is None:
            findings.append(_unbreakable(packages, edges, members))
            continue
        # One package cannot be an early stage twice: whoever shares one is staged together.
        shared = {one["package"] for one in reduced}
        others = [one for one in plan["stagings"] if shared & {less["package"] for less in one["reduced"]}]
        if others:
            plan["stagings"] = [one for one in plan["stagings"] if one not in others]
            groups.insert(0, sorted({*members, *(member for one in others for member in one["members"])}))
        else:
            plan["stagings"].append({"members": members, "reduced": reduced})
    return findings


def components(edges: Edges, of: Iterable[int]) -> list[list[int]]:
    """The packages that wait for each other, without those that wait for none."""
    waits: dict[int, set[int]] = {}

    def waited(package: int) -> set[int]:
        if package not in waits:
            waits[package] = _waits(edges, package)
        return waits[package]

    found: list[list[int]] = []
    number, low, trail, on_trail = {}, {}, [], set()
    # Tarjan's algorithm, with a stack of its own: chains of waits are longer than Python's.
    for start in of:
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


def _waits(edges: Edges, package: int) -> set[int]:
    waits: set[int] = set()
    pending = [end for end, kinds in edges.get(package, {}).items() if "buildtime" in kinds]
    while pending:
        needed = pending.pop()
        if needed not in waits:
            waits.add(needed)
            pending += [end for end, kinds in edges.get(needed, {}).items() if "runtime" in kinds]
    return waits - {package}


def _reduced(packages: list[Any], edges: Edges, members: list[int]) -> list[dict[str, Any]] | None:
    """The fewest flags to turn off so that no member waits for itself; none is that no flags do it."""
    region = _region(edges, members)
    candidates = [(package, flag) for package in region for flag in _affecting(packages, edges, region, package)]
    choices = (choice for size in range(1, len(candidates) + 1) for choice in itertools.combinations(candidates, size))
    for choice in itertools.islice(choices, MOST_TRIES):
        flags: dict[int, set[str]] = {}
        for package, flag in choice:
            flags.setdefault(package, set()).add(flag)
        less = {member: _edges_without(packages, edges, member, off) for member, off in flags.items()}
        if None in less.values() or _demanded(packages, {**edges, **less}, members, flags):
            continue
        if not components({**edges, **less}, region):
            return [
                {
                    "package": member,
                    "disabled": sorted(flags[member]),
                    "edges": [[end, kinds] for end, kinds in sorted(less[member].items())],
                }
                for member in sorted(flags)
            ]
    return None


def _region(edges: Edges, members: list[int]) -> list[int]:
    """The members, and what their waits go through: it waits for none of them, and needs some at run time."""
    runtime = {one: [end for end, kinds in ends.items() if "runtime" in kinds] for one, ends in edges.items()}
    needed = set().union(*(_waits(edges, member) for member in members))
    region = set(members)
    while True:
        grown = {one for one in needed - region if region.intersection(runtime.get(one, ()))}
        if not grown:
            return [*members, *sorted(region.difference(members))]
        region |= grown


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
    for kind, variables in VARIABLES.items():
        atoms = _atoms(package, variables, use)
        former = {str(atom) for atom in _atoms(package, variables, package.use.enabled)}
        for end, kinds in edges.get(member, {}).items():
            if kind in kinds and any(_matches(atom, packages[end]) for atom in atoms):
                less.setdefault(end, []).append(kind)
        for atom in atoms:
            if str(atom) not in former:
                ends = [end for end, other in enumerate(packages) if end != member and _matches(atom, other)]
                if not ends:
                    return None
                less.setdefault(ends[-1], []).append(kind)
    return {end: [kind for kind in VARIABLES if kind in kinds] for end, kinds in less.items()}


def _demanded(packages: list[Any], edges: Edges, members: list[int], flags: dict[int, set[str]]) -> bool:
    """Whether something in the roots of the first stage demands a flag that is off."""
    roots = set(members).union(*(_waits(edges, member) for member in members))
    for parent in roots:
        use = packages[parent].use.enabled - flags.get(parent, set())
        for atom in _atoms(packages[parent], (*VARIABLES["buildtime"], *VARIABLES["runtime"]), use):
            for member, off in flags.items():
                if atom.use and atom.use.enabled & off and member != parent and _matches(atom, packages[member]):
                    return True
    return False


def _atoms(package: Any, variables: Iterable[str], use: frozenset[str]) -> list[Any]:
    """The atoms of all alternatives; blockers are for Portage to judge, in the root."""
    atoms = []
    for variable in variables:
        tokens = use_reduce(
            package._metadata.get(variable, ""),
            uselist=use,
            is_valid_flag=package.iuse.is_valid_flag,
            eapi=package.eapi,
            flat=True,
            token_class=Atom,
        )
        atoms += [token for token in tokens if isinstance(token, Atom) and not token.blocker]
    return [atom.evaluate_conditionals(use) for atom in atoms]


def _matches(atom: Any, package: Any) -> bool:
    """By name, version and slot: USE is what is changed."""
    return atom.cp == package.cp and bool(match_from_list(atom.without_use, [package]))


def _unbreakable(packages: list[Any], edges: Edges, members: list[int]) -> Finding:
    names = [str(packages[member].cpv) for member in members]
    said = ["These packages wait for each other, and no flag of theirs that could be off breaks it:"]
    said += [_edge(packages, edges, dependent, end) for dependent, end in _inner(edges, members)]
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
