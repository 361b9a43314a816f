# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""From a question to the depgraph: the steps of `_emerge.actions.run_action` and `action_build` that lead there.

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

import index as packages  # noqa: E402


class Unfit(Exception):
    """The root cannot be asked: Portage would answer, but to another question."""


class Unseen(Exception):
    """Portage does not see the binaries that the index lists."""


def mask(cpvs: list[str]) -> None:
    """Masks exact versions, beside what the configuration masks. A file there may be a directory as well (portage(5))."""
    if not cpvs:
        return
    file = "/etc/portage/package.mask"
    if os.path.isdir(file):
        file = os.path.join(file, "zzz-swarm")
    with open(file, "a", encoding="utf-8") as lines:
        lines.write("".join(f"\n={cpv}\n" for cpv in cpvs))


def configured(options: list[str]) -> Any:
    """Portage's configuration, read anew, with these options."""
    portage.output.nocolor()
    action, opts, arguments = parse_opts(options, silent=True)
    return load_emerge_config(action=action, args=arguments, opts=opts)


def offer(config: Any, index: str) -> set[packages.Binary]:
    """Has Portage read the index, and makes sure that it has; gives what the index lists.

    An index that it cannot read, or an older one in its cache, would only be remarked upon: everything would be built.
    """
    root_config = config.target_config
    root_config.trees["bintree"].populate(getbinpkgs=True)
    listed = packages.binaries(index)
    offered = {
        (str(cpv), getattr(cpv, "build_id", None) or 0) for cpv in root_config.trees["bintree"].dbapi.cpv_all()
    }
    if listed != offered:
        lost, extra = sorted(listed - offered), sorted(offered - listed)
        raise Unseen(f"Portage does not see the binaries of the index: lacks {lost[:5]}, has besides {extra[:5]}")
    # Binaries carry a dependency on the libc that they were built with; Portage compares them by the installed one.
    if listed and not root_config.trees["vartree"].dbapi.match(portage.const.LIBC_PACKAGE_ATOM):
        raise Unfit(
            f"the base root has no {portage.const.LIBC_PACKAGE_ATOM} installed:"
            " Portage would take every binary for changed (PORTAGE.md 2)"
        )
    adjust_configs(config.opts, config.trees)
    return listed


def timestamp(config: Any, index: str) -> int | None:
    """The TIMESTAMP of the index that Portage has read, as its own cache tells (`bintree._populate_remote_repo`)."""
    root = config.target_config.settings["EROOT"]
    cached = os.path.join(root, portage.const.CACHE_PATH, "binhost", index.lstrip("/"), "Packages")
    try:
        with open(cached, encoding="utf-8") as file:
            header = file.read().partition("\n\n")[0].splitlines()
    except FileNotFoundError:
        return None
    return next((int(line.partition(":")[2]) for line in header if line.startswith("TIMESTAMP:")), None)


def resolved(config: Any) -> tuple[bool, Any]:
    """Portage's verdict, and the depgraph that it comes from."""
    success, depgraph, _ = backtrack_depgraph(
        config.target_config.settings,
        config.trees,
        config.opts,
        create_depgraph_params(config.opts, config.action),
        config.action,
        config.args,
        spinner=None,
    )
    return success, depgraph
