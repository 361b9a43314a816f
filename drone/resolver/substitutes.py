# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""Earlier builds that stand for packages which wait for each other, where no flag breaks the cycle (PORTAGE.md 4).

A *substitute* is what the base root has installed, or a binary that the run may keep, also one that is out of date. It
has the slot and sub-slot of the planned package: what is built with it binds to nothing that will not be there. What is
built in its presence is built again without it.

Everybody in a root with a substitute must accept it, and what it needs at run time must be there: of the plan, another
substitute, or installed in the base root.
"""

from collections.abc import Callable
from typing import Any

from _emerge.Package import Package
from portage.dep import Atom, use_reduce
from portage.versions import _pkg_str, cpv_sort_key

import atoms
import graph
import index
import waits
from waits import Edges


class Earlier:
    """The builds that there are: installed in the base root, and those of an index."""

    def __init__(self, root_config: Any, directory: str) -> None:
        self._root_config = root_config
        self._installed = root_config.trees["vartree"].dbapi
        self._bintree = root_config.trees["bintree"]
        self._binaries: dict[str, list[dict[str, str]]] = {}
        read = self._bintree._new_pkgindex()
        with open(index.path(directory), encoding="utf-8") as file:
            read.read(file)
        for metadata in read.packages:
            self._binaries.setdefault(_pkg_str(metadata["CPV"]).cp, []).append(metadata)

    def installed(self, atom: Any) -> bool:
        return bool(self._installed.match(atom))

    def has_binary(self, planned: Package) -> bool:
        return planned.cp in self._binaries

    def of(self, planned: Package) -> list[Package]:
        """Of a package's slot, the best first: what is installed is in every root anyway; then by version."""
        keys = Package.metadata_keys
        installed = [
            self._package("installed", self._installed, cpv, dict(zip(keys, self._installed.aux_get(cpv, keys))))
            for cpv in self._installed.match(planned.slot_atom)
        ]
        binaries = [
            self._package("binary", self._bintree.dbapi, one["CPV"], {key: one.get(key, "") for key in keys})
            for one in self._binaries.get(planned.cp, ())
        ]
        binaries = [one for one in binaries if one.slot == planned.slot and one.visible]
        by_version = cpv_sort_key()
        return [*installed, *sorted(binaries, key=lambda one: (by_version(one.cpv), one.cpv.build_id), reverse=True)]

    def _package(self, kind: str, tree: Any, cpv: str, metadata: dict[str, str]) -> Package:
        return Package(
            built=True,
            cpv=_pkg_str(str(cpv), metadata=metadata, settings=self._root_config.settings, db=tree),
            installed=kind == "installed",
            metadata=metadata,
            root_config=self._root_config,
            type_name=kind,
        )


class Substitutes:
    """Of the members of a component, or of one package that its own tools need: as many as can be."""

    def __init__(self, packages: list[Any], edges: Edges, members: list[int], earlier: Earlier) -> None:
        self._packages, self._edges, self._members, self._earlier = packages, edges, members, earlier
        self._roots = set(members).union(*(waits.of(edges, member) for member in members))
        self.refused: list[str] = []
        """Which do not do, and why."""
        self._left = {member: earlier.of(packages[member]) for member in members}
        self.chosen = {member: left[0] for member, left in self._left.items() if left}
        """The substitutes by what they stand for: all, or none."""
        self._runtime: Edges = {}
        self._settle()
        if not self._breaks():
            self.refused += [f"{one.cpv} could, but that is not enough" for one in self.chosen.values()]
            self.chosen = {}

    def described(self) -> list[dict[str, Any]]:
        return [self._describe(member, substitute) for member, substitute in sorted(self.chosen.items())]

    def _describe(self, member: int, substitute: Package) -> dict[str, Any]:
        description = {
            "package": member,
            "cpv": str(substitute.cpv),
            "use": sorted(substitute.use.enabled & substitute.iuse.all),
            "edges": [[end, kinds] for end, kinds in sorted(self._runtime[member].items())],
        }
        if not substitute.installed:
            description["build_id"] = graph.build_id(substitute)
        return description

    def _settle(self) -> None:
        """Until nothing is refused, and nothing new comes into the roots that could refuse."""
        while True:
            known = set(self._roots)
            refusal = next(filter(None, map(self._refusal, self.chosen)), None)
            if refusal:
                self._refuse(*refusal)
            elif known == self._roots:
                return

    def _refuse(self, member: int, reason: str) -> None:
        self.refused.append(f"{self.chosen[member].cpv} cannot stand for {self._packages[member].cpv}: {reason}")
        self._left[member].pop(0)
        if self._left[member]:
            self.chosen[member] = self._left[member][0]
        else:
            del self.chosen[member]

    def _refusal(self, member: int) -> tuple[int, str] | None:
        """Why a member's substitute will not do. If it will, its edges are known."""
        substitute, planned = self.chosen[member], self._packages[member]
        if substitute.sub_slot != planned.sub_slot:
            return member, f"its sub-slot is {substitute.sub_slot}, and not {planned.sub_slot}"
        for parent in sorted(self._roots):
            package = self._packages[parent]
            variables = atoms.IN_ROOTS if parent in self._members else atoms.VARIABLES["runtime"]
            for atom in atoms.alternatives(package, variables, package.use.enabled):
                if atoms.matches(atom, planned) and not atom.match(substitute):
                    return member, f"{package.cpv} needs {atom}"
        needed: set[int] = set()
        for variable in atoms.VARIABLES["runtime"]:
            missing = _unmet(_tokens(substitute, variable), lambda atom: self._provides(atom, needed))
            if missing is not None:
                return member, f"it needs {missing}"
        ends = {end: ["runtime"] for end in sorted(needed - {member})}
        self._runtime[member] = ends
        self._roots |= waits.runtime(self._edges, needed)
        return None

    def _provides(self, atom: Any, needed: set[int]) -> bool:
        """Whether the roots have what matches; notes it where it is of the plan."""
        for end, planned in enumerate(self._packages):
            if planned.cp == atom.cp and atom.match(self.chosen.get(end, planned)):
                needed.add(end)
                return True
        return self._earlier.installed(atom)

    def _breaks(self) -> bool:
        """Whether no member waits for itself then. A substitute may not need what is built with it there, and what
        substitutes need besides may not wait for a member."""
        members, chosen = set(self._members), {member: self._runtime[member] for member in self.chosen}
        early = {**self._edges, **chosen}
        if any(member in waits.needs(early, member) for member in members.difference(chosen)):
            return False
        besides = {end: ["buildtime", "runtime"] for ends in chosen.values() for end in ends}
        more = {member: {**self._edges.get(member, {}), **besides} for member in members}
        grown = waits.components({**self._edges, **more}, self._members)
        waiting = waits.components(early, waits.region(self._edges, self._members))
        return not waiting and all(members.issuperset(one) or members.isdisjoint(one) for one in grown)


def _tokens(package: Package, variable: str) -> list[Any]:
    """A built package's dependencies, in Portage's nested lists: of `||`, its alternatives follow as a list."""
    return use_reduce(
        package._metadata.get(variable, ""),
        uselist=package.use.enabled,
        is_valid_flag=package.iuse.is_valid_flag,
        eapi=package.eapi,
        token_class=Atom,
    )


def _unmet(tokens: list[Any], provides: Callable[[Any], bool]) -> Any:
    """The first of the dependencies that nothing provides; none is that all are met."""
    rest = iter(tokens)
    for token in rest:
        if token == "||":
            unmet = [_unmet([one], provides) for one in next(rest)]
            missing = None if not unmet or None in unmet else unmet[0]
        elif isinstance(token, list):
            missing = _unmet(token, provides)
        else:
            missing = None if token.blocker or provides(token) else token
        if missing is not None:
            return missing
    return None
