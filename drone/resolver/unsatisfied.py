# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""Why nothing satisfies an atom: which refusal it is, and what is behind it."""

from collections.abc import Iterator
from typing import Any

from portage.dep import check_required_use
from _emerge.Package import Package

from words import Finding, finding, name, names, printed, spelled


def causes(depgraph: Any, root: str, atom: Any, parent: Any, chain: list[str]) -> Iterator[Finding]:
    """The findings for an atom of `parent`, which the chain leads from to the world.

    A package whose own dependency failed, or that lost a slot conflict, is masked by backtracking and tried without.
    Then only the world atom at the chain's end is missing: what matters is what the package was masked for.
    """
    candidates = [package for package in _ebuilds(depgraph, root, atom) if package.visible and atom.match(package)]
    masks = depgraph._dynamic_config._runtime_pkg_mask
    if not candidates or not all(package in masks for package in candidates):
        said = printed(depgraph._show_unsatisfied_dep, root, atom, myparent=parent)
        yield finding(_kind(depgraph, root, atom), spelled(atom), chain, said)
        return
    best = max(candidates)
    if name(best) in chain:
        return
    for reason, parents in sorted(masks[best].items()):
        if reason == "missing dependency":
            for _, dependency_root, dependency in parents:
                yield from causes(depgraph, dependency_root, dependency, best, [name(best), *chain])
        else:
            yield _masked_by_backtracking(best, reason, parents, chain)


def _masked_by_backtracking(package: Package, reason: str, parents: Any, chain: list[str]) -> Finding:
    said = [f"{name(package)} is masked by backtracking: {reason}"]
    said += sorted(f"{name(parent)} wants {atom}" for parent, atom in parents)
    wanted_by = sorted({*chain[:1], *names(parent for parent, _ in parents)})
    kind = "slot_conflict" if reason == "slot conflict" else "other"
    return finding(kind, package.slot_atom, wanted_by, "\n".join(said))


def _kind(depgraph: Any, root: str, atom: Any) -> str:
    ebuilds = [package for package in _ebuilds(depgraph, root, atom) if atom.without_use.match(package)]
    if not ebuilds:
        return "unsatisfied"
    visible = [package for package in ebuilds if package.visible]
    if not visible:
        return "masked"
    wanted = atom.unevaluated_atom.use
    having = [package for package in visible if not wanted or not package.iuse.get_missing_iuse(wanted.required)]
    if not having:
        return "unsatisfied"
    if wanted and not any(atom.match(package) for package in having):
        return "configuration_change"
    return "other" if any(_required_use_holds(package) for package in having) else "required_use"


def _ebuilds(depgraph: Any, root: str, atom: Any) -> Iterator[Package]:
    """The ebuilds of the atom's name, version and slot, masked or not."""
    root_config = depgraph._frozen_config.roots[root]
    ebuilds = root_config.trees["porttree"].dbapi
    repositories = [atom.repo] if atom.repo else ebuilds.getRepositories(catpkg=atom.cp)
    for cpv in ebuilds.xmatch("match-all-cpv-only", atom.without_use):
        for repository in repositories:
            if ebuilds.cpv_exists(cpv, myrepo=repository):
                yield depgraph._pkg(cpv, "ebuild", root_config, myrepo=repository)


def _required_use_holds(package: Package) -> bool:
    required = package._metadata.get("REQUIRED_USE")
    if not required:
        return True
    return bool(check_required_use(required, package.use.enabled, package.iuse.is_valid_flag, eapi=package.eapi))
