# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""How findings spell packages, sets and atoms, and what Portage itself prints about them."""

import contextlib
import io
from collections.abc import Callable, Iterable
from typing import Any

from _emerge.Package import Package
from _emerge.SetArg import SetArg

Finding = dict[str, Any]


def finding(kind: str, atom: Any, wanted_by: Iterable[str], detail: str) -> Finding:
    atom = None if atom is None else str(atom)
    return {"kind": kind, "atom": atom, "wanted_by": list(wanted_by), "detail": detail.strip()}


def name(node: Any) -> str:
    if isinstance(node, Package):
        return str(node.cpv)
    if isinstance(node, SetArg):
        return f"@{node.name}"
    return str(node)


def names(nodes: Iterable[Any]) -> list[str]:
    return sorted({name(node) for node in nodes})


def spelled(atom: Any) -> str:
    """As the ebuild has it: Portage works with the evaluated form."""
    return str(atom.unevaluated_atom) if atom.package else str(atom)


def chain_to_world(depgraph: Any, node: Any) -> list[str]:
    """Who asked, nearest first: from the node up to the set that it belongs to."""
    digraph = depgraph._dynamic_config.digraph
    chain: list[str] = []
    seen = set()
    while node is not None and node not in seen:
        seen.add(node)
        chain.append(name(node))
        parents = digraph.parent_nodes(node) if node in digraph else []
        node = first(parent for parent in parents if parent not in seen)
    # @selected is how Portage calls what the world files hold.
    return list(dict.fromkeys(link for link in chain if not link.startswith("@selected")))


def first(nodes: Iterable[Any]) -> Any:
    """A set before packages: the shortest way out; then by name."""
    return min(nodes, key=lambda node: (isinstance(node, Package), name(node)), default=None)


def printed(show: Callable[..., Any], *arguments: Any, **keywords: Any) -> str:
    """What a function of Portage's prints."""
    return silently(show, *arguments, **keywords)[1]


def silently(work: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[Any, str]:
    """What a function of Portage's returns, and what it prints."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        value = work(*arguments, **keywords)
    return value, said.getvalue()
