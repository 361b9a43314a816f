use super::check;
use crate::artifact::{Artifact, path};
use std::collections::BTreeMap;
use swarm_protocol::Digest;
use swarm_protocol::binhost::{Prepare, Provided};
use swarm_protocol::id::BuildId;

/// A package with values of its metadata, as in `a/b-1 SLOT=0/2 RDEPEND=c/d x/y`.
fn artifact(text: &str) -> Artifact {
    let (cpv, values) = text.split_once(' ').unwrap_or((text, ""));
    let cpv: swarm_protocol::gentoo::Cpv = cpv.parse().unwrap();
    let mut metadata = BTreeMap::from([("SLOT".to_owned(), "0".to_owned())]);
    for value in values.split(" | ").filter(|value| !value.is_empty()) {
        let (key, value) = value.split_once('=').unwrap();
        metadata.insert(key.to_owned(), value.to_owned());
    }
    let digest = Digest::of(text.as_bytes());
    Artifact {
        built: digest,
        published: digest,
        build_id: BuildId(1),
        path: path(&cpv, BuildId(1)),
        cpv,
        size: 1,
        mtime: 0,
        md5: String::new(),
        sha1: String::new(),
        metadata,
    }
}

/// The findings as lines, `KIND ATOM (ASKERS): DETAIL`.
fn found_with(
    packages: &[&str],
    system: &[&str],
    packages_provided: &[&str],
    sonames: &[&str],
) -> Vec<String> {
    let artifacts: Vec<_> = packages.iter().map(|package| artifact(package)).collect();
    let asked = Prepare {
        artifacts: vec![],
        system: system.iter().map(|atom| atom.parse().unwrap()).collect(),
        provided: Provided {
            packages: packages_provided.iter().map(|cpv| cpv.parse().unwrap()).collect(),
            sonames: sonames.iter().map(|soname| soname.parse().unwrap()).collect(),
        },
    };
    let findings = check(artifacts.iter(), &asked);
    let line = |finding: &swarm_protocol::resolution::Finding| {
        let kind = serde_json::to_value(finding.kind).unwrap();
        let atom = finding.atom.as_deref().unwrap_or_default();
        let by = finding.wanted_by.join(", ");
        format!("{} {atom} ({by}): {}", kind.as_str().unwrap(), finding.detail.replace('\n', " / "))
    };
    findings.iter().map(line).collect()
}

fn found(packages: &[&str]) -> Vec<String> {
    found_with(packages, &[], &[], &[])
}

#[test]
fn a_closed_set_passes() {
    let packages = [
        "sys-libs/glibc-2.40 SLOT=2.2 | PROVIDES=x86_64: libc.so.6 libm.so.6",
        "dev-libs/icu-75 SLOT=0/75 | IUSE=+tools doc | USE=tools amd64 | RDEPEND=>=sys-libs/glibc-2.38 | \
         REQUIRES=x86_64: libc.so.6 | PROVIDES=x86_64: libicu.so.75",
        "app-misc/a-1 RDEPEND=dev-libs/icu:0/75=[tools,-doc,amd64,new(+)] || ( x/none dev-libs/icu ) !!<dev-libs/icu-70 | \
         REQUIRES=x86_64: libicu.so.75 libc.so.6 | PDEPEND=app-misc/b",
        "app-misc/b-1 RDEPEND=app-misc/a | REQUIRES=x86_64: libc.so.6",
        "app-misc/b-2 SLOT=2 | RDEPEND=!app-misc/b:2",
    ];
    assert_eq!(found(&packages), Vec::<String>::new());
    assert_eq!(found(&[]), Vec::<String>::new());
}

#[test]
fn the_icu_conflict() {
    let [old, new] =
        ["app-misc/old-1 RDEPEND=dev-libs/icu:0/74=", "app-misc/new-1 RDEPEND=dev-libs/icu:0/75="];
    let [icu74, icu75] = ["dev-libs/icu-74 SLOT=0/74", "dev-libs/icu-75 SLOT=0/75"];
    assert_eq!(
        found(&[icu75, new, old]),
        ["sub_slot dev-libs/icu:0/74= (app-misc/old-1): the set has dev-libs/icu-75:0/75"]
    );
    assert_eq!(
        found(&[icu74, icu75, new, old]),
        [
            "slot_conflict dev-libs/icu:0 (): a workstation can have one of them: / dev-libs/icu-74:0/74, on which insists \
          app-misc/old-1 / dev-libs/icu-75:0/75, on which insists app-misc/new-1"
        ]
    );
}

#[test]
fn the_abi_mismatch() {
    let consumer = "app-misc/a-1 RDEPEND=dev-libs/foo:0/1= | REQUIRES=x86_64: libfoo.so.1";
    let foo = "dev-libs/foo-2 SLOT=0/1 | PROVIDES=x86_64: libfoo.so.2";
    assert_eq!(
        found(&[consumer, foo]),
        ["soname x86_64: libfoo.so.1 (app-misc/a-1): dev-libs/foo-2 provides libfoo.so.2"]
    );
    assert_eq!(found_with(&[consumer, foo], &[], &[], &["x86_64: libfoo.so.1"]), Vec::<String>::new());
}

#[test]
fn sonames_come_from_what_is_depended_on_and_from_the_system() {
    let gcc =
        "sys-devel/gcc-14 PROVIDES=x86_64: libstdc++.so.6 x86_32: libgcc_s.so.1 | RDEPEND=sys-libs/zlib";
    let zlib = "sys-libs/zlib-1 PROVIDES=x86_64: libz.so.1";
    let program = "app-misc/a-1 REQUIRES=x86_64: libgcc_s.so.1 libstdc++.so.6 libz.so.1";
    let here = "provides it, but is none of its dependencies";
    assert_eq!(
        found(&[program, gcc, zlib]),
        [
            "soname x86_64: libgcc_s.so.1 (app-misc/a-1): nothing in the set provides it".to_owned(),
            format!("soname x86_64: libstdc++.so.6 (app-misc/a-1): sys-devel/gcc-14 {here}"),
            format!("soname x86_64: libz.so.1 (app-misc/a-1): sys-libs/zlib-1 {here}"),
        ]
    );
    assert_eq!(
        found_with(&[program, gcc, zlib], &["sys-devel/gcc", "@system"], &[], &["x86_64: libgcc_s.so.1"]),
        [""; 0]
    );
}

#[test]
fn a_cycle_shares_what_it_reaches() {
    let packages = [
        "a/a-1 RDEPEND=a/b | REQUIRES=x86_64: libd.so.1 liba.so.1 | PROVIDES=x86_64: liba.so.1",
        "a/b-1 RDEPEND=a/c | REQUIRES=x86_64: liba.so.1 libd.so.1",
        "a/c-1 PDEPEND=a/a || ( a/x a/d ) | REQUIRES=x86_64: liba.so.1 libd.so.1",
        "a/d-1 PROVIDES=x86_64: libd.so.1 | REQUIRES=x86_64: liba.so.1",
    ];
    assert_eq!(
        found(&packages),
        ["soname x86_64: liba.so.1 (a/d-1): a/a-1 provides it, but is none of its dependencies"]
    );
}

#[test]
fn what_is_missing_is_named_once_with_all_who_want_it() {
    let many: Vec<_> = (0..13).map(|number| format!("a/p{number:02}x-1 RDEPEND=>=a/lib-2")).collect();
    let mut packages: Vec<_> = many.iter().map(String::as_str).collect();
    packages.push("a/lib-1 SLOT=3/4");
    let askers: Vec<_> = (0..10).map(|number| format!("a/p{number:02}x-1")).collect();
    assert_eq!(
        found(&packages),
        [format!("unsatisfied >=a/lib-2 ({}, 3 more): the set has a/lib-1:3/4", askers.join(", "))]
    );
    assert_eq!(found_with(&packages, &[], &["a/lib-2.1"], &[]), [""; 0]);
    assert_eq!(found_with(&packages, &[], &["a/lib-1.9"], &[]).len(), 1);
}

#[test]
fn each_kind_of_fault() {
    for (package, said) in [
        ("a/a-1 RDEPEND=a/none", "unsatisfied a/none (a/a-1): the set has no a/none"),
        ("a/a-1 PDEPEND=a/b:3", "unsatisfied a/b:3 (a/a-1): the set has a/b-1:0/2"),
        ("a/a-1 IDEPEND=<a/b-1", "unsatisfied <a/b-1 (a/a-1): the set has a/b-1:0/2"),
        ("a/a-1 RDEPEND=a/b::other", "unsatisfied a/b::other (a/a-1): the set has a/b-1:0/2"),
        (
            "a/a-1 RDEPEND=a/b[-x]",
            "unsatisfied a/b[-x] (a/a-1): the set has a/b-1:0/2 / a/b-1:0/2 has USE=\"x\"",
        ),
        (
            "a/a-1 RDEPEND=!a/b",
            "blocker !a/b (a/a-1): a/b-1:0/2 cannot stay when it is installed, but is in the set",
        ),
        (
            "a/a-1 RDEPEND=!!a/b:0",
            "blocker !!a/b:0 (a/a-1): a/b-1:0/2 must be gone before it is installed, but is in the set",
        ),
        (
            "a/a-1 RDEPEND=|| ( a/none ( a/b !a/b ) )",
            "unsatisfied || ( a/none ( a/b !a/b ) ) (a/a-1): no branch holds: / a/b-1:0/2 cannot stay when it is \
             installed, but is in the set / the set has no a/none",
        ),
        (
            "a/a-1 RDEPEND=a/b[x?]",
            "unsatisfied a/b[x?] (a/a-1): \"a/b[x?]\" is no atom: its USE dependencies are not flag or -flag, separated \
             by commas (PMS 8.3.4)",
        ),
    ] {
        assert_eq!(found(&[package, "a/b-1 SLOT=0/2 | IUSE=x y | USE=x"]), [said]);
    }
    assert_eq!(found(&["a/a-1 BDEPEND=a/none | DEPEND=a/none"]), [""; 0]);
}

#[test]
fn there_is_an_end_to_findings() {
    let many: Vec<_> = (0..150).map(|number| format!("a/p{number}x-1 RDEPEND=a/none{number}x")).collect();
    let findings = found(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(findings.len(), 100);
    assert!(findings[99].ends_with("51 more findings are not listed"), "{}", findings[99]);
}

/// As large a set as a target has: 2,500 packages with 20 dependencies and 10 required sonames each, some in cycles.
#[test]
fn a_large_set_takes_no_time() {
    const COUNT: usize = 2500;
    let package = |number: usize| {
        let below = (1..=20).map(|step| (number + step * step) % COUNT);
        let atoms: Vec<_> =
            below.map(|other| format!(">=dev-libs/p{other}x-1:0/{}=[on,-off]", other % 7)).collect();
        let sonames = (1..=10).map(|step| (number + step * step) % COUNT);
        let sonames: Vec<_> = sonames.map(|other| format!("libp{other}x.so.1")).collect();
        format!(
            "dev-libs/p{number}x-1.{number} SLOT=0/{} | IUSE=+on off | USE=amd64 on | RDEPEND={} | REQUIRES=x86_64: {} | \
             PROVIDES=x86_64: libp{number}x.so.1",
            number % 7,
            atoms.join(" "),
            sonames.join(" ")
        )
    };
    let mut packages: Vec<_> = (0..COUNT).map(package).collect();
    packages[1234] = packages[1234].replace("PROVIDES=x86_64", "PROVIDES=x86_32");
    let findings = found(&packages.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].starts_with("soname x86_64: libp1234x.so.1 ("), "{findings:?}");
}
