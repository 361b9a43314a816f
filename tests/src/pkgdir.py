"""Fills a directory with binary packages, by Portage's own writers: varied, and the same for the same seed.

    pkgdir.py DIRECTORY SEED COUNT KIND

KIND is `varied` (names, slots, EAPIs, every kind of dependency, both formats, all layouts, and packages that no index
takes), `uncompressed` (the same as GPKGs without compression), or a size in bytes: simple GPKGs with such images.
"""

import os
import random
import sys
import tempfile

import portage
from portage import gpkg, xpak

DIRECTORY, SEED, COUNT, KIND = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
RANDOM = random.Random(SEED)
FLAGS = ["acl", "doc", "gtk", "ssl", "test", "X", "python_targets_python3_13", "c++", "abi_x86_32"]
CATEGORIES = ["app-misc", "dev-libs", "sys-apps", "virtual", "x11-libs"]
NAMES = ["alpha", "beta-2go", "gtk+", "lib_c", "r2d2-tools", "Upper", "delta-kit", "font-100dpi"]
VERSIONS = ["1", "1.2.3", "2.0_rc1", "0.1_alpha2_p3", "3b", "1.0-r1", "20240101", "9999", "1.0_p"]
SLOTS = ["0", "0/1.2", "3", "2.7/2.7a", "stable/0"]
COMPRESSIONS = ["gzip", "bzip2", "xz", "zstd", *(["lz4"] if os.path.exists("/usr/bin/lz4") else [])]


def one(things):
    return RANDOM.choice(things)


def some(things, share=0.4):
    return [thing for thing in things if RANDOM.random() < share]


def atom():
    name = f"{one(CATEGORIES)}/{one(NAMES)}"
    form = RANDOM.random()
    if form < 0.3:
        name = one([">=", "<=", "~", "=", "<", "!<", "!!>="]) + name + "-" + one(VERSIONS)
    elif form < 0.35:
        name = f"={name}-{one(['1', '2.0', '0.1_alpha2'])}*"
    elif form < 0.4:
        name = one(["!", "!!"]) + name
    if RANDOM.random() < 0.3:
        name += ":" + one(["0", "0/1.2", "0/1.2=", "=", "*", "3=", "stable"])
    if RANDOM.random() < 0.3:
        default = one(["", "", "(+)", "(-)"])
        uses = RANDOM.sample(FLAGS, RANDOM.randint(1, 3))
        name += "[" + ",".join(one(["{}", "-{}", "{}?", "!{}?", "{}=", "!{}="]).format(u + default) for u in uses) + "]"
    return name


def depend(leaf, depth=0):
    """A dependency string of valid parts, with every kind of group, also where they are redundant."""
    parts = []
    for _ in range(RANDOM.randint(1, 4)):
        form = RANDOM.random() if depth < 4 else 0
        if form < 0.55:
            parts.append(leaf())
        elif form < 0.75:
            parts.append(f"{one(['', '!'])}{one(FLAGS)}? ( {depend(leaf, depth + 1)} )")
        elif form < 0.9:
            parts.append(f"|| ( {depend(leaf, depth + 1)} )")
        else:
            parts.append(f"( {depend(leaf, depth + 1)} )")
    return one([" ", "\n\t"]).join(parts)


def words(choices):
    return depend(lambda: one(choices))


def metadata(category, pf, build_id):
    values = {
        "BUILD_ID": str(build_id),
        "BUILD_TIME": str(1700000000 + RANDOM.randint(0, 10**6)),
        "CATEGORY": category,
        "CBUILD": "x86_64-pc-linux-gnu",
        "CFLAGS": "-O2 -pipe",
        "CHOST": one(["x86_64-pc-linux-gnu"] * 9 + ["aarch64-unknown-linux-gnu"]),
        "DEFINED_PHASES": one(["-", "compile", "compile configure install postinst"]),
        "DESCRIPTION": "A package: made up",
        "EAPI": one(["5", "6", "7", "8", "8", "8"]),
        "FEATURES": "assume-digests",
        "IUSE": " ".join(one(["", "+", "-"]) + flag for flag in some(FLAGS)),
        "IUSE_EFFECTIVE": " ".join(FLAGS),
        "KEYWORDS": " ".join(one(["", "~", "-"]) + arch for arch in some(["amd64", "arm64", "x86", "*"])),
        "LICENSE": words(["GPL-2", "MIT", "BSD-2", "|| ( LGPL-3+ MPL-1.1 )"]),
        "PF": pf,
        "SLOT": one(SLOTS),
        "USE": " ".join(["amd64", "kernel_linux", *some(FLAGS)]),
        "environment.bz2": RANDOM.randbytes(RANDOM.randint(100, 3000)),
        "repository": one(["gentoo", "gentoo", "local"]),
    }
    for key in ["BDEPEND", "DEPEND", "IDEPEND", "PDEPEND", "RDEPEND"]:
        if RANDOM.random() < 0.6:
            values[key] = depend(atom)
    for key, choices in [("PROPERTIES", ["live", "interactive"]), ("RESTRICT", ["test", "strip", "mirror"])]:
        if RANDOM.random() < 0.3:
            values[key] = words(choices)
    if RANDOM.random() < 0.3:
        values["PROVIDES"] = "x86_64: libalpha.so.1 libbeta.so.2"
        values["REQUIRES"] = "x86_64: libc.so.6\nx86_32: libm.so.6"
    if RANDOM.random() < 0.1:
        values["USER_PATCHES"] = "one.patch two.patch"
    return values


ODD = [
    # (what is done to the metadata, what is done to the path)
    ({"SLOT": ""}, None),
    ({"BUILD_ID": ""}, None),
    ({"BUILD_ID": "007"}, None),
    ({"BUILD_ID": "many"}, None),
    ({"CHOST": ""}, None),
    ({"EAPI": ""}, None),
    ({"EAPI": "99"}, None),
    ({"repository": ""}, None),
    ({"RDEPEND": "dev-libs/a ( dev-libs/b"}, None),
    ({"RDEPEND": "dev-libs/a::gentoo"}, None),
    ({"DEPEND": "|| ( )"}, None),
    ({"DEPEND": "^^ ( dev-libs/a dev-libs/b )"}, None),
    ({"LICENSE": "|| ( doc? ( MIT ) )"}, None),
    ({"LICENSE": b"caf\xe9 \xc2\xa0 MIT"}, None),
    ({"KEYWORDS": "amd64\x1carm64"}, None),
    ({"CATEGORY": "other-cat"}, None),
    ({"PF": "other-1"}, None),
    ({}, lambda path: "All/" + os.path.basename(path)),
    ({}, lambda path: "wrong/" + os.path.basename(path)),
    ({}, lambda path: path.replace("/", "/deep/er/", 1)),
    ({}, lambda path: path.replace("-1.gpkg", "-2.gpkg").replace("-1.xpak", "-3.xpak")),
    ({}, lambda path: path.replace("-1.gpkg", "-01.gpkg").replace("-1.xpak", "-0.xpak")),
    ({}, lambda path: os.path.basename(path)),
]


def write(path, values, compression, image):
    path = os.path.join(DIRECTORY, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    values = {key: value for key, value in values.items() if value != ""}
    encoded = {
        key: value if isinstance(value, bytes) else value.encode() + b"\n" for key, value in values.items()
    }
    if path.endswith(".gpkg.tar"):
        settings = portage.config(clone=portage.settings)
        settings["BINPKG_COMPRESS"] = compression
        base = os.path.basename(path)[: -len(".gpkg.tar")]
        gpkg.gpkg(settings, base, path).compress(image, encoded)
    else:
        with open(path, "wb") as file:
            file.write(RANDOM.randbytes(500))
        xpak.tbz2(path).recompose_mem(xpak.xpak_mem(encoded))
    # Times of the past, with fractions of a second.
    time = 1_700_000_000_000_000_000 + RANDOM.randint(0, 10**15)
    os.utime(path, ns=(time, time))


def layout(category, name, version, build_id):
    pf = f"{name}-{version}"
    choices = [f"{category}/{name}/{pf}-{build_id}.gpkg.tar"]
    if KIND == "varied":
        choices += [f"{category}/{name}/{pf}-{build_id}.xpak", f"{category}/{pf}.gpkg.tar", f"{category}/{pf}.tbz2"]
    return one(choices)


def varied(number, image):
    category, name, version = one(CATEGORIES), f"{one(NAMES)}{number % 40}x", one(VERSIONS)
    build_id = 1 + number % 3
    path = layout(category, name, version, build_id)
    values = metadata(category, f"{name}-{version}", build_id)
    if number % 8 == 0:
        changes, move = ODD[number // 8 % len(ODD)]
        values.update(changes)
        path = move(path) if move else path
    write(path, values, "none" if KIND == "uncompressed" else one(COMPRESSIONS), image)


def plain(number, image):
    name = f"plain{number}"
    category = CATEGORIES[number % len(CATEGORIES)]
    values = metadata(category, f"{name}-1", 1)
    write(f"{category}/{name}/{name}-1-1.gpkg.tar", values, "zstd", image)


with tempfile.TemporaryDirectory() as image:
    sized = KIND.isdigit()
    for number in range(COUNT):
        if number == 0 or sized:
            with open(os.path.join(image, "file"), "wb") as file:
                file.write(RANDOM.randbytes(int(KIND) if sized else 200))
        (plain if sized else varied)(number + 1, image)
