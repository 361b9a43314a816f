# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""What Portage refuses, as findings: kind, atom, who wanted it, and Portage's own words.

A finding is looked up in the depgraph's records, which `depgraph.display_problems` prints from; only its `detail` is
text of Portage's. A world atom that nothing satisfies leaves the depgraph's verdict a success, and is a refusal here.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from _emerge.Package import Package
from _emerge.resolver.circular_dependency import circular_dependency_handler
from _emerge.SetArg import SetArg

import graph
from unsatisfied import causes
from words import Finding, chain_to_world, finding, first, name, names, printed, silently, spelled


def of_world(root_config: Any, world: list[str]) -> list[Finding]:
    """What got lost on the way: Portage skips an atom that it cannot parse and a set that is not defined."""
    selected = root_config.sets["selected"]
    read = {str(entry) for entry in (*selected.getAtoms(), *selected.getNonAtoms())}
    lost = [entry for entry in world if entry not in read]
    lost += [entry for entry in world if entry.startswith("@") and entry[1:] not in root_config.sets]
    said = "\n".join(selected.errors)
    return [
        finding("unsatisfied", entry, ["@world"], said or f"Portage knows no {entry}") for entry in sorted(set(lost))
    ]


def of_depgraph(depgraph: Any, success: bool) -> list[Finding]:
    """Everything that stands between the depgraph and a plan, in a fixed order."""
    return ordered([*_of_any(depgraph, success), *_installed_only(depgraph)])


def of_workstation(depgraph: Any, success: bool) -> list[Finding]:
    """The same of a workstation's own update, for which what it has installed is as good as any."""
    return ordered(_of_any(depgraph, success))


def _of_any(depgraph: Any, success: bool) -> list[Finding]:
    found = [
        *_unsatisfied(depgraph),
        *_missing_arguments(depgraph),
        *_slot_conflicts(depgraph),
        *_blockers(depgraph),
        *_cycle(depgraph),
    ]
    if not found and not success:
        said = printed(depgraph.display_problems)
        found = [finding("other", "@world", [], said or "Portage resolves nothing and does not say why")]
    return found


def remarks(depgraph: Any) -> list[Finding]:
    """What a person should know about a plan that stands."""
    return ordered(_skipped_updates(depgraph))


def ordered(found: Iterable[Finding]) -> list[Finding]:
    # One refusal may stand in two of Portage's records.
    unique = {(one["kind"], one["atom"] or "", *one["wanted_by"]): one for one in found}
    return [unique[key] for key in sorted(unique)]


def _unsatisfied(depgraph: Any) -> Iterator[Finding]:
    for (root, atom), keywords in depgraph._dynamic_config._unsatisfied_deps_for_display:
        parent = keywords.get("myparent")
        chain = chain_to_world(depgraph, parent)
        if keywords.get("show_req_use") is None:
            yield from causes(depgraph, root, atom, parent, chain)
        else:
            said = printed(depgraph._show_unsatisfied_dep, root, atom, **keywords)
            yield finding("required_use", spelled(atom), chain, said)


def _missing_arguments(depgraph: Any) -> Iterator[Finding]:
    for argument, atom in depgraph._dynamic_config._missing_args:
        yield from causes(depgraph, argument.root_config.root, atom, argument, chain_to_world(depgraph, argument))


def _installed_only(depgraph: Any) -> Iterator[Finding]:
    """What only the base root's installed package satisfies: clients could not install it."""
    digraph = depgraph._dynamic_config.digraph
    wanting = {*graph.planned(digraph), *(node for node in digraph if isinstance(node, SetArg))}
    for node in digraph:
        if isinstance(node, Package) and node.installed and node.operation == "nomerge":
            parent = first(parent for parent in digraph.parent_nodes(node) if parent in wanting)
            if parent is not None:
                detail = f"only the base root's installed {node.cpv} satisfies this; there is no ebuild of it"
                yield finding("unsatisfied", node.slot_atom, chain_to_world(depgraph, parent), detail)


def _slot_conflicts(depgraph: Any) -> Iterator[Finding]:
    conflicts = list(depgraph._dynamic_config._package_tracker.slot_conflicts())
    said = printed(depgraph._show_slot_collision_notice) if conflicts else ""
    parent_atoms = depgraph._dynamic_config._parent_atoms
    for conflict in conflicts:
        wanted_by = names(parent for package in conflict for parent, _ in parent_atoms.get(package, ()))
        yield finding("slot_conflict", conflict.atom, wanted_by, said)


def _blockers(depgraph: Any) -> Iterator[Finding]:
    for blocker in depgraph._dynamic_config._unsatisfied_blockers_for_display or ():
        said = printed(depgraph._show_unsatisfied_blockers, [blocker])
        wanted_by = names(depgraph._dynamic_config._blocker_parents.parent_nodes(blocker))
        yield finding("blocker", blocker.atom, wanted_by, said)


def _cycle(depgraph: Any) -> Iterator[Finding]:
    """The shortest cycle. Each of `wanted_by` wants the one before it, and the atom wants the last."""
    circular = depgraph._dynamic_config._circular_deps_for_display
    if circular is None:
        return
    handler, _ = silently(circular_dependency_handler, depgraph, circular)
    # Dependents come before what they depend on.
    members = [name(node) for node in reversed(handler.shortest_cycle or ())] or ["@world"]
    least = members.index(min(members))
    members = members[least:] + members[:least]
    said = printed(depgraph._show_circular_deps, circular)
    yield finding("cycle", members[0], members[1:], said)


def _skipped_updates(depgraph: Any) -> Iterator[Finding]:
    """A newer version that something holds back: the plan has the older one, as Portage would on a workstation.

    A binary that is not taken is none: its ebuild may be gone.
    """
    missed = [update for update in depgraph._get_missed_updates().values() if not update[0].built]
    said = printed(depgraph._show_missed_update) if missed else ""
    for package, reason, parents in missed:
        conflict = reason == "slot conflict"
        wanted_by = names(parent for parent, _ in parents) if conflict else []
        detail = f"the update to {package.cpv} is skipped ({reason})\n{said}"
        yield finding("slot_conflict" if conflict else "other", package.slot_atom, wanted_by, detail)
