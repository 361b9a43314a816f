# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""What a workstation's update would merge, of what the run may keep and of what it would build (PORTAGE.md 2). The index is
the one that `planning.py` has left: build keys are of the base root's toolchain, and a workstation has its own. The answer
is

    {"wants": [CPV, …], "findings": [{"kind": …, "atom": …, "wanted_by": […], "detail": …}, …]}

A workstation may have chosen another side of a `||` than the world resolves to from nothing; and what is wrong with its
update, the gate will find again, after everything was built.
"""

from typing import Any

import session  # Before anything else of Portage's.

import findings
import graph
import options


def answer(request: dict[str, Any]) -> dict[str, Any]:
    session.mask(request["mask"])
    config = session.configured(options.update())
    session.offer(config, request["index"])
    success, depgraph = session.resolved(config)
    wants = [str(package.cpv) for package in graph.planned(depgraph._dynamic_config.digraph)]
    return {"wants": wants, "findings": findings.of_workstation(depgraph, success)}
