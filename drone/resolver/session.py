# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""From the question to the depgraph: the steps of `_emerge.actions.run_action` and `action_build` that lead there.

What `emerge --pretend` only prints, and returns 0 for, is an error or a finding here (PORTAGE.md 1).
"""

import os
from typing import Any

import portage

# As /usr/bin/emerge does, before anything else of Portage is imported.
portage._internal_caller = True
portage._disable_legacy_globals()

import portage.output  # noqa: E402
from _emerge.actions import adjust_configs, load_emerge_config  # noqa: E402
from _emerge.create_depgraph_params import create_depgraph_params  # noqa: E402
from _emerge.depgraph import backtrack_depgraph  # noqa: E402
from _emerge.main import parse_opts  # noqa: E402

import findings  # noqa: E402
import graph  # noqa: E402
import options  # noqa: E402


class Unfit(Exception):
    """The root cannot be asked: Portage would answer, but to another question."""


def answer(world: list[str], index: str) -> dict[str, Any]:
    """The answer for a world set, with the binaries that the index in the directory `index` lists."""
    portage.output.nocolor()
    action, opts, arguments = parse_opts(options.build_graph(), silent=True)
    config = load_emerge_config(action=action, args=arguments, opts=opts)
    _offer_binaries(config, index)
    adjust_configs(config.opts, config.trees)
    refused = findings.of_world(config.target_config, world)
    if refused:
        return {"plan": None, "findings": refused}
    success, depgraph, _ = backtrack_depgraph(
        config.target_config.settings,
        config.trees,
        config.opts,
        create_depgraph_params(config.opts, config.action),
        config.action,
        config.args,
        spinner=None,
    )
    refused = findings.of_depgraph(depgraph, success)
    if refused:
        return {"plan": None, "findings": refused}
    return {"plan": graph.plan(depgraph), "findings": findings.remarks(depgraph)}


def _offer_binaries(config: Any, index: str) -> None:
    """Has Portage read the index, and makes sure that it has.

    An index that it cannot read, or an older one in its cache, would only be remarked upon: everything would be built.
    """
    root_config = config.target_config
    root_config.trees["bintree"].populate(getbinpkgs=True)
    listed = _listed(os.path.join(index, "Packages"))
    offered = {str(cpv) for cpv in root_config.trees["bintree"].dbapi.cpv_all()}
    if listed != offered:
        lost, extra = sorted(listed - offered), sorted(offered - listed)
        raise Unfit(f"Portage does not see the binaries of the index: lacks {lost[:5]}, has besides {extra[:5]}")
    # Binaries carry a dependency on the libc that they were built with; Portage compares them by the installed one.
    if listed and not root_config.trees["vartree"].dbapi.match(portage.const.LIBC_PACKAGE_ATOM):
        raise Unfit(
            f"the base root has no {portage.const.LIBC_PACKAGE_ATOM} installed:"
            " Portage would take every binary for changed (PORTAGE.md 2)"
        )


def _listed(packages: str) -> set[str]:
    with open(packages, encoding="utf-8") as file:
        return {line[5:].strip() for line in file if line.startswith("CPV: ")}
