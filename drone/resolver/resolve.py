# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""Asks the Portage of the root that this runs in, and writes what came out to a file.

    python3 resolve.py REQUEST ANSWER

The drone runs it in a clean root over its base root (`build_drone::resolver`), which it has prepared: the world files
hold the request's world, `PORTAGE_BINHOST` leads to the index, no other binary repository is configured.

REQUEST has `question`, and for every question

    "world": [ATOM or @SET, …], "index": DIRECTORY of the Packages file, "mask": [CPV that shall not be taken, …]

| question | more of the request | the answer |
|---|---|---|
| `plan` | `"wants": [CPV, …]`, `"keys": [{"cpv": …, "build_id": …, "key": …}, …]` | see `planning.py` |
| `wants` | nothing | see `wanting.py` |
| `gate` | `"timestamp": the index's` | see `gate.py` |

or `{"error": "the last lines of a traceback"}`. Standard output and error are Portage's own: nobody parses them.

`swarm update` asks the Portage of a workstation as it is, and says nothing but `"question": "update"` and `"repository"`,
the binhost's name in binrepos.conf: see `updating.py`.
"""

import importlib
import json
import os
import sys
import traceback

MODULES = {"plan": "planning", "wants": "wanting", "gate": "gate", "update": "updating"}


def main(request_file: str, answer_file: str) -> None:
    with open(request_file, encoding="utf-8") as file:
        request = json.load(file)
    try:
        # Portage reads the machine when it is imported: what goes wrong there is an answer too.
        answer = importlib.import_module(MODULES[request["question"]]).answer(request)
    except Exception:
        traceback.print_exc()
        answer = {"error": traceback.format_exc(limit=-3)}
    # Whoever reads it finds all of it or nothing, whenever this is killed.
    with open(answer_file + ".new", "w", encoding="utf-8") as file:
        json.dump(answer, file, sort_keys=True)
    os.rename(answer_file + ".new", answer_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
