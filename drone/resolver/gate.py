# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""What a workstation would do with a generation (PORTAGE.md 1). The answer is

    {"findings": [{"kind": …, "atom": …, "wanted_by": […], "detail": …}, …],
     "missing": [CPV that would have to be compiled, …],
     "installs": [[CPV, BUILD_ID] that the update installs, …]}

Findings are absent when all of this holds: Portage read exactly the generation's index; its update compiles nothing;
with binaries alone it does the same; nothing of the world is missing, and no update that the generation has is skipped.
"""

from collections.abc import Iterator
from typing import Any

import session  # Before anything else of Portage's.
from _emerge.Package import Package

import findings
import graph
import index
import options
from about import rejected
from words import Finding, chain_to_world, finding, printed


def answer(request: dict[str, Any]) -> dict[str, Any]:
    session.mask(request["mask"])
    try:
        update = Asked(options.update(), request)
        found = findings.of_world(update.config.target_config, request["world"])
        found = found or [*update.refused(), *update.compiled()]
        installs = update.installs()
        if not found:
            # What follows from the findings above would only be told again in other words.
            binaries = Asked(options.binaries_alone(), request)
            found = [*binaries.refused(), *differences(installs, binaries.installs())]
    except (session.Unseen, FileNotFoundError) as error:
        return {"findings": [finding("stale_index", None, [], str(error))], "missing": [], "installs": []}
    missing = sorted(str(package.cpv) for package in update.ebuilds())
    return {"findings": findings.ordered(found), "missing": missing, "installs": sorted(installs)}


class Asked:
    """A question, and what Portage says to it."""

    def __init__(self, question: list[str], request: dict[str, Any]) -> None:
        self.config = session.configured(question)
        self.listed = session.offer(self.config, request["index"])
        read = session.timestamp(self.config, request["index"])
        if read != request["timestamp"]:
            raise session.Unseen(f"Portage has read an index of TIMESTAMP {read}, not of {request['timestamp']}")
        self.success, self.depgraph = session.resolved(self.config)

    def planned(self) -> list[Package]:
        return graph.planned(self.depgraph._dynamic_config.digraph)

    def ebuilds(self) -> list[Package]:
        return [package for package in self.planned() if package.type_name == "ebuild"]

    def installs(self) -> set[index.Binary]:
        binaries = [package for package in self.planned() if package.type_name == "binary"]
        return {(str(package.cpv), getattr(package.cpv, "build_id", None) or 0) for package in binaries}

    def refused(self) -> Iterator[Finding]:
        yield from findings.of_workstation(self.depgraph, self.success)
        # What the generation does not have is skipped since the resolver skipped it, too.
        versions = {cpv for cpv, _ in self.listed}
        for update, reason, _ in self.depgraph._get_missed_updates().values():
            if str(update.cpv) in versions:
                said = printed(self.depgraph._show_missed_update)
                detail = f"the update to {update.cpv} is skipped ({reason})\n{said}"
                yield finding("not_updated", update.slot_atom, [], detail)

    def compiled(self) -> Iterator[Finding]:
        """What would be compiled: the generation has no binary of it, or none that Portage takes."""
        for package in self.ebuilds():
            there = sorted(binary for binary in self.listed if binary[0] == str(package.cpv))
            chain = chain_to_world(self.depgraph, package)[1:]
            if there:
                said = rejected(self.depgraph, package)
                detail = said or f"Portage would compile {package.cpv}, though the generation has it"
                yield finding("rebuild_missing", package.cpv, chain, detail)
            else:
                detail = f"the generation has no binary of {package.cpv}: Portage would compile it"
                yield finding("not_installable", package.cpv, chain, detail)


def differences(update: set[index.Binary], binaries: set[index.Binary]) -> Iterator[Finding]:
    """Where the silent update with binaries alone is another one."""
    for cpv, build_id in sorted(update - binaries):
        yield finding("not_updated", cpv, [], f"{cpv}-{build_id} would be left out with --usepkgonly")
    for cpv, build_id in sorted(binaries - update):
        yield finding("not_updated", cpv, [], f"{cpv}-{build_id} would be installed with --usepkgonly only")
