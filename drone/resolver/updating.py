# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""What `swarm update` asks on a workstation: the gate's two questions (`gate.py`), of the machine as it is. The answer is

    {"unreached": "why the binhost's index cannot be had", "status": of HTTP, or null}

or, when Portage has read the very index that the binhost serves now,

    {"installs": [{"cpv": …, "build_id": …, "from": CPV that it replaces or null}, …],
     "refused": [FINDING, …]      Portage would do nothing at all,
     "lacking": [FINDING, …]      what would have to be compiled: the binhost has no binary of it, or none that fits,
     "left_out": [FINDING, …]     updates that `--usepkgonly` passes over in silence,
     "preserved": {CPV: [PATH, …]}, "merges": [PATH of a `._cfg` file, …], "news": NUMBER}
"""

import os
import shlex
import urllib.parse
from typing import Any

import session  # Before anything else of Portage's.
from _emerge.actions import adjust_configs
from portage.news import count_unread_news
from portage.util import find_updated_config_files
from portage.util._urlopen import urlopen

import findings
import gate
import options

_TRIED_SECONDS = 20


class Unreached(Exception):
    """The binhost does not give its index now; it may do so later."""


class Asked(gate.Asked):
    """A question to this machine's Portage, of all binary repositories that it knows."""

    def __init__(self, question: list[str], repository: str, refresh: bool) -> None:
        self.config = session.configured(question)
        self.root = self.config.target_config
        bintree = self.root.trees["bintree"]
        # A binhost that is not reached would only be remarked upon, and the former index be taken for the present one.
        bintree.populate(getbinpkgs=True, getbinpkg_refresh=refresh)
        if refresh:
            binhost = (bintree._binrepos_conf or {}).get(repository)
            if binhost is None:
                raise session.Unfit(f"Portage knows no binary repository {repository}")
            served = _served(binhost.sync_uri)
            read = session.timestamp(self.config, _cached(binhost.sync_uri))
            if served != read:
                raise Unreached(f"the binhost's index has the TIMESTAMP {served}, and Portage has read {read}")
        self.listed = {(str(cpv), getattr(cpv, "build_id", None) or 0) for cpv in bintree.dbapi.cpv_all()}
        adjust_configs(self.config.opts, self.config.trees)
        self.success, self.depgraph = session.resolved(self.config)

    def changes(self) -> list[dict[str, Any]]:
        installed = self.root.trees["vartree"].dbapi
        return [
            {
                "cpv": str(package.cpv),
                "build_id": getattr(package.cpv, "build_id", None) or 0,
                "from": next(map(str, installed.match(package.slot_atom)), None),
            }
            for package in self.planned()
            if package.type_name == "binary"
        ]


def answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        update = Asked(options.update(), request["repository"], refresh=True)
    except Unreached as error:
        return {"unreached": str(error), "status": getattr(error.__cause__, "code", None)}
    # What would be installed without compiling is what the workstation's own command does.
    binaries = Asked(options.binaries_alone(), request["repository"], refresh=False)
    lacking = findings.ordered(update.compiled())
    refused = findings.ordered([*binaries.refused()] if not binaries.success else [])
    left_out = [] if lacking or refused else [*update.refused(), *gate.differences(update.installs(), binaries.installs())]
    return {
        "installs": [] if refused else binaries.changes(),
        "refused": refused,
        "lacking": lacking,
        "left_out": findings.ordered(left_out),
        **_left_to_do(update.root),
    }


def _served(uri: str) -> int:
    """The TIMESTAMP of the index that the binhost serves, by the way that Portage takes."""
    try:
        with urlopen(uri.rstrip("/") + "/Packages", timeout=_TRIED_SECONDS) as index:
            for line in index:
                name, _, value = line.decode(errors="replace").partition(":")
                if name == "TIMESTAMP":
                    return int(value)
                if not name.strip():
                    break
    except (OSError, ValueError) as error:
        raise Unreached(str(error)) from error
    raise Unreached("what it serves as its index has no TIMESTAMP")


def _cached(uri: str) -> str:
    """Where Portage caches an index, below its cache of binhosts (`bintree._populate_remote_repo`)."""
    parsed = urllib.parse.urlparse(uri)
    return os.path.join(parsed.hostname or "", parsed.path.lstrip("/"))


def _left_to_do(root: Any) -> dict[str, Any]:
    """What a person still has to do, whoever installed it."""
    installed, settings = root.trees["vartree"].dbapi, root.settings
    registry = installed._plib_registry
    preserved = registry.getPreservedLibs() if registry is not None else {}
    protected = shlex.split(settings.get("CONFIG_PROTECT", ""))
    waiting = find_updated_config_files(settings["EROOT"], protected) or ()
    merges = {name for place, names in waiting for name in names or [place]}
    return {
        "preserved": {str(cpv): sorted(paths) for cpv, paths in preserved.items()},
        "merges": sorted(merges),
        "news": sum(count_unread_news(root.trees["porttree"].dbapi, installed).values()),
    }
