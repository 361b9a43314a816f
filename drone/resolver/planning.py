# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""What a run has to build and to keep. The answer is one of

    {"plan": {"packages": […], "edges": […], "stagings": […], "system": […], "toolchain": […]}, "findings": [REMARK, …]}
    {"plan": null, "findings": [{"kind": …, "atom": …, "wanted_by": […], "detail": …}, …]}
"""

from typing import Any

import session  # Before anything else of Portage's.

import findings
import graph
import hazards
import index
import keys
import options
import stages
import substitutes
import toolchain
import waits
from about import About


def answer(request: dict[str, Any]) -> dict[str, Any]:
    session.mask(request["mask"])
    config = session.configured(options.build_graph(request["wants"]))
    built = keys.Keys(config.target_config)
    earlier = substitutes.Earlier(config.target_config, request["index"])
    outdated = built.outdated(request["keys"])
    index.leave_out(request["index"], outdated)
    session.offer(config, request["index"])
    refused = findings.of_world(config.target_config, request["world"])
    if refused:
        return {"plan": None, "findings": refused}
    success, depgraph = session.resolved(config)
    refused = findings.of_depgraph(depgraph, success)
    # Portage gives up at a cycle, with the whole graph in its hands: whether it can be built in stages is for us to see.
    if any(one["kind"] != "cycle" for one in refused):
        return {"plan": None, "findings": refused}
    plan = graph.plan(depgraph, built, About(depgraph, outdated))
    refused = [*toolchain.ahead(depgraph), *stages.stage(depgraph, plan, earlier)]
    if refused:
        return {"plan": None, "findings": refused}
    plan["toolchain"] = toolchain.wanted(depgraph, waits.edges_of(plan))
    remarks = [*findings.remarks(depgraph), *hazards.of_plan(depgraph), *toolchain.behind(depgraph)]
    return {"plan": plan, "findings": remarks}
