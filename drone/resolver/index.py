# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2
"""The `Packages` file: a header, then an entry per binary, each a block of lines that ends with an empty one."""

import os

Binary = tuple[str, int]
"""A cpv and a BUILD_ID."""


def path(directory: str) -> str:
    return os.path.join(directory, "Packages")


def binaries(directory: str) -> set[Binary]:
    """What the index lists. A binary without a BUILD_ID is of nobody's generation, and has the number 0."""
    return {binary(block) for block in _blocks(directory)[1:]}


def leave_out(directory: str, unwanted: set[Binary]) -> None:
    """Takes entries out, so that Portage does not see them."""
    if unwanted:
        header, *entries = _blocks(directory)
        kept = [entry for entry in entries if binary(entry) not in unwanted]
        with open(path(directory), "w", encoding="utf-8") as file:
            file.write("".join(f"{block}\n\n" for block in [header, *kept]))


def binary(block: str) -> Binary:
    fields = dict(line.partition(": ")[::2] for line in block.splitlines())
    return fields.get("CPV", ""), int(fields.get("BUILD_ID", "0"))


def _blocks(directory: str) -> list[str]:
    with open(path(directory), encoding="utf-8") as file:
        return [block for block in file.read().split("\n\n") if block.strip()]
