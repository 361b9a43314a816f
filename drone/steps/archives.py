# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""Says which source archives an ebuild has under this configuration, and what its Manifest says of them: one line of JSON.

    archives.py CATEGORY/NAME-VERSION REPOSITORY
"""

import json
import os
import sys

import portage

portage._internal_caller = True


def archives(cpv: str, repository: str) -> dict[str, object]:
    portdb = portage.db[portage.root]["porttree"].dbapi
    tree = portdb.getRepositoryPath(repository)
    ebuild = portdb.findname(cpv, mytree=tree) if tree else None
    if not ebuild:
        sys.exit(f"there is no {cpv} in {repository}")
    settings = portage.config(clone=portage.settings)
    keys = list(portdb._aux_cache_keys)
    metadata = dict(zip(keys, portdb.aux_get(cpv, keys, mytree=tree)))
    settings.setcpv(cpv, mydb=metadata)
    files = portdb.getFetchMap(cpv, useflags=settings["PORTAGE_USE"].split(), mytree=tree)
    repo = portdb.repositories.get_repo_for_location(tree)
    manifest = repo.load_manifest(os.path.dirname(ebuild), None).getTypeDigests("DIST")
    named = [(name, manifest.get(name, {})) for name in sorted(files)]
    return {
        "archives": [
            {"name": name, "size": digests.get("size", 0), "blake2b": digests.get("BLAKE2B")}
            for name, digests in named
        ],
        # Whether it is one or not may depend on USE. A fetch in vain does no harm.
        "live": "live" in metadata.get("PROPERTIES", "").split(),
    }


print(json.dumps(archives(*sys.argv[1:])))
