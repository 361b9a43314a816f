# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""The atoms of a package's dependencies, and the packages that they match."""

from collections.abc import Iterable
from typing import Any

from portage.dep import Atom, match_from_list, use_reduce

VARIABLES = {"buildtime": ("DEPEND", "BDEPEND"), "runtime": ("RDEPEND", "IDEPEND"), "runtime_post": ("PDEPEND",)}
"""Where the edges of a kind come from."""

IN_ROOTS = (*VARIABLES["buildtime"], *VARIABLES["runtime"])
"""What must be in the root where a package is built."""


def alternatives(package: Any, variables: Iterable[str], use: frozenset[str]) -> list[Any]:
    """The atoms of all alternatives; blockers are for Portage to judge, in the root."""
    found = []
    for variable in variables:
        tokens = use_reduce(
            package._metadata.get(variable, ""),
            uselist=use,
            is_valid_flag=package.iuse.is_valid_flag,
            eapi=package.eapi,
            flat=True,
            token_class=Atom,
        )
        found += [token for token in tokens if isinstance(token, Atom) and not token.blocker]
    return [atom.evaluate_conditionals(use) for atom in found]


def matches(atom: Any, package: Any) -> bool:
    """By name, version and slot: USE is what is changed."""
    return atom.cp == package.cp and bool(match_from_list(atom.without_use, [package]))
