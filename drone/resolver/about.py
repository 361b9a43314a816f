# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""What a person wants to know of a package of the plan: what it is, who wants it, and why it is built."""

import os
from typing import Any

from portage.dep import paren_enclose, use_reduce

import index
import keys
from words import chain_to_world, name


class About:
    """Of the packages of one depgraph; `outdated` binaries were not offered to it."""

    def __init__(self, depgraph: Any, outdated: set[index.Binary]) -> None:
        self._depgraph = depgraph
        self._outdated = {cpv for cpv, _ in outdated}

    def of(self, package: Any) -> dict[str, Any]:
        told = {
            "keywords": package._metadata.get("KEYWORDS", "").split(),
            "license": _license(package),
            # Nearest first, up to the set that it belongs to.
            "wanted_by": chain_to_world(self._depgraph, package)[1:],
        }
        if package.type_name == "ebuild":
            told["fetch_bytes"] = _fetch_bytes(package)
            told["built_because"] = self._why(package)
        return told

    def _why(self, package: Any) -> str:
        if str(package.cpv) in self._outdated:
            return "what it is built from has changed"
        return rejected(self._depgraph, package) or "there is no binary of it"


def rejected(depgraph: Any, package: Any) -> str:
    """Why Portage takes no binary of an ebuild's version; empty where it sees none, or does not say."""
    reasons = []
    ignored = depgraph._dynamic_config.ignored_binaries
    for binary in sorted(candidate for candidate in ignored if candidate.cpv == package.cpv):
        for reason, detail in sorted(ignored[binary].items()):
            flags = " ".join(sorted(detail)) if reason == "respect_use" else ""
            reasons.append(f"{binary.cpv}-{binary.cpv.build_id} is not taken: {reason} {flags}".rstrip())
    masks = depgraph._dynamic_config._runtime_pkg_mask
    for binary in sorted(mask for mask in masks if mask.cpv == package.cpv and mask.type_name == "binary"):
        for reason, parents in sorted(masks[binary].items()):
            said = "; ".join(sorted(f"{name(parent[0])} {parent[-1]}" for parent in parents or ()))
            reasons.append(f"{binary.cpv}-{binary.cpv.build_id} is not taken: {reason} {said}".rstrip())
    return "\n".join(reasons)


def _license(package: Any) -> str:
    """LICENSE, as far as it holds with the package's USE."""
    reduced = use_reduce(
        package._metadata.get("LICENSE", ""),
        uselist=package.use.enabled,
        is_valid_flag=package.iuse.is_valid_flag,
        eapi=package.eapi,
    )
    return str(paren_enclose(reduced))


def _fetch_bytes(package: Any) -> int:
    """The size of its source archives, by the Manifest."""
    trees = package.root_config.trees["porttree"].dbapi
    ebuild, tree = trees.findname2(package.cpv, myrepo=package.repo)
    wanted = trees.getFetchMap(package.cpv, package.use.enabled, tree)
    return sum(int(line.split()[2]) for line in keys.distfiles(os.path.dirname(ebuild), wanted))
