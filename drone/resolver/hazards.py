# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""What a person should know of packages before a drone tries to build them (PORTAGE.md 8): ebuilds say it themselves."""

from collections.abc import Iterator
from typing import Any

from portage.dep import use_reduce

import graph
from words import Finding, chain_to_world, finding

REDISTRIBUTABLE = "BINARY-REDISTRIBUTABLE"
"""Gentoo's group of the licences under which a binary may be given away (`profiles/license_groups`)."""


def of_plan(depgraph: Any) -> Iterator[Finding]:
    for package in graph.planned(depgraph._dynamic_config.digraph):
        chain = chain_to_world(depgraph, package)[1:]
        if package.type_name == "ebuild":
            for kind, detail in _of_build(package):
                yield finding(kind, package.cpv, chain, detail)
        why = _unredistributable(package)
        if why:
            detail = f"{why}: whoever can read this target's generations must be allowed to have it"
            yield finding("unredistributable", package.cpv, chain, detail)


def _of_build(package: Any) -> Iterator[tuple[str, str]]:
    restrict, properties = _words(package, "RESTRICT"), _words(package, "PROPERTIES")
    if "fetch" in restrict:
        yield "fetch_restricted", "its sources must be fetched by hand, and put where GENTOO_MIRRORS of the target leads"
    if "interactive" in properties:
        yield "interactive", "it asks questions while it is built, and nobody answers on a drone"
    if "live" in properties:
        yield "live", "it is built from whatever its upstream has at that moment: two builds of it are not the same"


def _unredistributable(package: Any) -> str:
    if "bindist" in _words(package, "RESTRICT"):
        return 'RESTRICT="bindist": its binaries may not be given away'
    licenses = package.root_config.settings._license_manager
    allowed = set(licenses.expandLicenseTokens([f"@{REDISTRIBUTABLE}"]))
    # A group that no repository defines stays as it is.
    if allowed == {f"@{REDISTRIBUTABLE}"}:
        return ""
    structure = use_reduce(package._metadata["LICENSE"], uselist=package.use.enabled, opconvert=True)
    masked = licenses._getMaskedLicenses(structure, allowed)
    return f"LICENSE is not among @{REDISTRIBUTABLE}: {' '.join(sorted(masked))}" if masked else ""


def _words(package: Any, variable: str) -> set[str]:
    reduced = use_reduce(
        package._metadata.get(variable, ""),
        uselist=package.use.enabled,
        is_valid_flag=package.iuse.is_valid_flag,
        eapi=package.eapi,
        flat=True,
    )
    return set(reduced)
