//! Is a package what was asked for? A pure comparison of its metadata with the claim's expectation (law 8).
//!
//! | asked | compared with | how |
//! |---|---|---|
//! | cpv | `CATEGORY`, `PF`, the container's directory | equal; the directory is PF or PF-BUILD_ID |
//! | slot | `SLOT` | slot and sub-slot; one without a sub-slot has its slot as such (PMS 7.2) |
//! | repository | `repository` | equal |
//! | USE | `USE` | within `IUSE`: `USE` also lists `amd64`, `kernel_linux` and other implicit flags |
//! | CHOST | `CHOST` | equal |
//! | BUILD_ID | `BUILD_ID` | equal |
//! | CFLAGS, CXXFLAGS | the same | `-march` and its like are the same, or taken out by the ebuild (`check/flags.rs`) |
//!
//! Besides, its dependencies must be as Portage stores those of a built package (`doebuild.py`,
//! `_post_src_install_write_metadata`): USE conditionals evaluated, and every `:=` bound to a slot and sub-slot. An
//! unbound one means that the dependency was not installed while it was built. Within `|| ( )` Portage itself leaves
//! the branches that are not installed unbound (`dep/_slot_operator.py`), and PDEPEND is built later.
//!
//! What is bound must be bound to what the run has ([`check_bound`]): else the build root held an older library than
//! the one that the package will meet. And there must be no key in it (`gpkg/secrets.rs`).
//!
//! Whether REQUIRES and PROVIDES are missing cannot be told from metadata: a package without ELF files has none either.
//! That scanelf is there is a matter of the drone's preflight.

mod dependencies;
mod flags;

use crate::gpkg::{Gpkg, Metadata};
use dependencies::Fault;
use std::collections::BTreeSet;
use swarm_protocol::binhost::Expected;
use swarm_protocol::gentoo::{Cpv, Slot, UseFlag};

/// How a package differs from what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// A value is not the expected one.
    #[error("{key} is {:?}, not {expected:?}", shorten(.found))]
    Value {
        /// The metadata's key.
        key: &'static str,
        /// What was asked for.
        expected: String,
        /// What the package says.
        found: String,
    },
    /// The directory within the container belongs to another package.
    #[error("the package's directory is {:?}, not {pf:?} or {pf:?} with its BUILD_ID", shorten(.found))]
    Directory {
        /// The expected PF.
        pf: String,
        /// The directory.
        found: String,
    },
    /// Flags of IUSE are not as asked.
    #[error("USE differs: {}", flags(.missing, .extra))]
    Use {
        /// Asked for, but off.
        missing: Vec<String>,
        /// On, but not asked for.
        extra: Vec<String>,
    },
    /// The code is for another machine.
    #[error("{key} has {option}{found}, not {option}{expected}")]
    Flag {
        /// The metadata's key.
        key: &'static str,
        /// The option, as in `-march=`.
        option: &'static str,
        /// What was asked for.
        expected: String,
        /// What the package was built with.
        found: String,
    },
    /// It was built against another sub-slot than the run has.
    #[error("{key} is bound to {atom}, but the run has {there}")]
    Bound {
        /// The metadata's key.
        key: &'static str,
        /// The dependency.
        atom: String,
        /// What there is, as in `dev-libs/icu-75:0/75`.
        there: String,
    },
    /// Who downloads it could read a secret.
    #[error("{}; what the drone's environment or make.conf holds must not be published", .0.join(", "))]
    Secret(Vec<String>),
    /// A dependency is not as Portage stores it after a build.
    #[error("{key}: {fault}")]
    Dependency {
        /// The metadata's key.
        key: &'static str,
        /// What is wrong.
        fault: Fault,
    },
}

/// Values come from the package: an error shows their beginning.
fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

fn flags(missing: &[String], extra: &[String]) -> String {
    let one =
        |flags: &[String], what| (!flags.is_empty()).then(|| format!("{} {what}", shorten(&flags.join(" "))));
    let parts = [one(missing, "should be on"), one(extra, "should be off")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Compares a whole package.
pub fn check_package(package: &Gpkg, expected: &Expected) -> Result<(), Mismatch> {
    let pf = expected.cpv.pf();
    if package.basename != pf && package.basename != format!("{pf}-{}", expected.build_id) {
        return Err(Mismatch::Directory { pf, found: package.basename.clone() });
    }
    check(&package.metadata, expected)
}

/// Compares the metadata.
pub fn check(metadata: &Metadata, expected: &Expected) -> Result<(), Mismatch> {
    let equal = |key: &'static str, value: &str| {
        let found = metadata.get(key);
        let differs = || Mismatch::Value { key, expected: value.to_owned(), found: found.to_owned() };
        if found == value { Ok(()) } else { Err(differs()) }
    };
    equal("CATEGORY", expected.cpv.category())?;
    equal("PF", &expected.cpv.pf())?;
    check_slot(metadata, &expected.slot)?;
    equal("repository", expected.repository.as_str())?;
    equal("CHOST", &expected.chost)?;
    equal("BUILD_ID", &expected.build_id.to_string())?;
    check_use(metadata, expected)?;
    flags::check(metadata, &expected.flags)?;
    check_dependencies(metadata)?;
    let keys = &metadata.secrets().keys;
    if keys.is_empty() { Ok(()) } else { Err(Mismatch::Secret(keys.clone())) }
}

/// Compares what a package is bound to with what its run has: `there` gives the packages of a name. What the run does
/// not have, or not yet, is judged when the set is whole.
pub fn check_bound<'m, 'r>(
    value: impl Fn(&str) -> &'m str,
    there: impl Fn(&str) -> Vec<(&'r Cpv, Slot)>,
) -> Result<(), Mismatch> {
    for key in ["BDEPEND", "DEPEND", "IDEPEND", "RDEPEND"] {
        for atom in dependencies::bound(value(key)) {
            let mut of_slot = there(atom.cp());
            of_slot.retain(|(_, slot)| atom.matches_main_slot(slot));
            if !of_slot.is_empty() && !of_slot.iter().any(|(_, slot)| atom.matches_slot(slot)) {
                let names: Vec<_> = of_slot.iter().map(|(cpv, slot)| format!("{cpv}:{slot}")).collect();
                return Err(Mismatch::Bound { key, atom: atom.to_string(), there: names.join(", ") });
            }
        }
    }
    Ok(())
}

fn check_slot(metadata: &Metadata, expected: &Slot) -> Result<(), Mismatch> {
    let found = metadata.get("SLOT");
    let same = found
        .parse::<Slot>()
        .is_ok_and(|slot| slot.slot() == expected.slot() && slot.sub_slot() == expected.sub_slot());
    let differs = || Mismatch::Value { key: "SLOT", expected: expected.to_string(), found: found.to_owned() };
    if same { Ok(()) } else { Err(differs()) }
}

fn check_use(metadata: &Metadata, expected: &Expected) -> Result<(), Mismatch> {
    let iuse = metadata.get("IUSE").split_whitespace();
    let iuse: BTreeSet<&str> = iuse.map(|flag| flag.strip_prefix(['+', '-']).unwrap_or(flag)).collect();
    let asked: BTreeSet<&str> =
        expected.use_flags.iter().map(UseFlag::as_str).filter(|flag| iuse.contains(flag)).collect();
    let on: BTreeSet<&str> =
        metadata.get("USE").split_whitespace().filter(|flag| iuse.contains(flag)).collect();
    let list =
        |a: &BTreeSet<&str>, b: &BTreeSet<&str>| a.difference(b).map(|flag| (*flag).to_owned()).collect();
    let (missing, extra): (Vec<_>, Vec<_>) = (list(&asked, &on), list(&on, &asked));
    if missing.is_empty() && extra.is_empty() { Ok(()) } else { Err(Mismatch::Use { missing, extra }) }
}

fn check_dependencies(metadata: &Metadata) -> Result<(), Mismatch> {
    for (key, bound) in
        [("BDEPEND", true), ("DEPEND", true), ("IDEPEND", true), ("RDEPEND", true), ("PDEPEND", false)]
    {
        let checked = dependencies::check(metadata.get(key), bound);
        checked.map_err(|fault| Mismatch::Dependency { key, fault })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Package;
    use swarm_protocol::id::BuildId;

    fn expected() -> Expected {
        Expected {
            cpv: "sys-libs/zlib-1.3.1".parse().unwrap(),
            slot: "0/1".parse().unwrap(),
            repository: "gentoo".parse().unwrap(),
            use_flags: vec!["ssl".parse().unwrap(), "amd64".parse().unwrap()],
            build_id: BuildId(2),
            chost: "x86_64-pc-linux-gnu".to_owned(),
            flags: vec!["CFLAGS=-O2 -march=x86-64-v3".to_owned(), "LDFLAGS=-Wl,-O1".to_owned()],
        }
    }

    fn verdict(key: &str, value: &str) -> Result<(), String> {
        let package = crate::gpkg::read(&Package::zlib().value(key, value).bytes()[..]).unwrap();
        check_package(&package, &expected()).map_err(|mismatch| mismatch.to_string())
    }

    #[test]
    fn what_was_asked_for_passes() {
        assert_eq!(verdict("CFLAGS", "-O1"), Ok(()));
        assert_eq!(verdict("USE", "ssl x86 abi_x86_64"), Ok(()));
        assert_eq!(verdict("IUSE", ""), Ok(()));
        assert_eq!(check_use(&Metadata::default(), &expected()), Ok(()));
        assert_eq!(verdict("RDEPEND", "|| ( a/b:= c/d:0= ) e/f:0/1= g/h:* !a/x ( i/j[k,-l] )"), Ok(()));
        assert_eq!(verdict("PDEPEND", "a/b:="), Ok(()));
    }

    #[test]
    fn each_difference_is_named() {
        for (key, value, said) in [
            ("CATEGORY", "dev-libs", r#"CATEGORY is "dev-libs", not "sys-libs""#),
            ("PF", "zlib-1.3.2", r#"PF is "zlib-1.3.2", not "zlib-1.3.1""#),
            ("SLOT", "0/2", r#"SLOT is "0/2", not "0/1""#),
            ("SLOT", "0", r#"SLOT is "0", not "0/1""#),
            ("SLOT", "", r#"SLOT is "", not "0/1""#),
            ("repository", "", r#"repository is "", not "gentoo""#),
            ("CHOST", "i686-pc-linux-gnu", r#"CHOST is "i686-pc-linux-gnu", not "x86_64-pc-linux-gnu""#),
            ("BUILD_ID", "1", r#"BUILD_ID is "1", not "2""#),
            ("BUILD_ID", "02", r#"BUILD_ID is "02", not "2""#),
            ("USE", "minizip amd64", "USE differs: ssl should be on, minizip should be off"),
            ("USE", "", "USE differs: ssl should be on"),
            ("RDEPEND", "a/b >=c/d-1:=[x]", r#"RDEPEND: ">=c/d-1:=[x]" is not bound to a slot and sub-slot"#),
            ("DEPEND", "a/b:0=", r#"DEPEND: "a/b:0=" is not bound to a slot and sub-slot"#),
            ("BDEPEND", "ssl? ( a/b )", r#"BDEPEND: the USE conditional "ssl?" is not evaluated"#),
            ("IDEPEND", "( a/b", "IDEPEND: its parentheses do not match"),
        ] {
            assert_eq!(verdict(key, value), Err(said.to_owned()));
        }
        let other = crate::gpkg::read(&Package::zlib().basename("zlib-1.3.1-3").bytes()[..]).unwrap();
        let mismatch = check_package(&other, &expected()).unwrap_err();
        assert!(matches!(mismatch, Mismatch::Directory { .. }), "{mismatch}");
    }

    #[test]
    fn code_for_another_machine_is_refused() {
        for right in
            ["-O3 -march=x86-64-v3", "-O2", "-mtune=native", "-march=native -march=x86-64-v3", "-mabi=ms"]
        {
            assert_eq!(verdict("CFLAGS", right), Ok(()), "{right}");
        }
        let said = "CFLAGS has -march=x86-64-v4, not -march=x86-64-v3";
        assert_eq!(verdict("CFLAGS", "-march=x86-64-v3 -march=x86-64-v4"), Err(said.to_owned()));
        assert_eq!(
            verdict("CFLAGS", "-mcpu=native"),
            Err("CFLAGS has -mcpu=native, not -mcpu=none".to_owned())
        );
        assert_eq!(verdict("CXXFLAGS", "-march=native"), Ok(()), "nothing was said of CXXFLAGS");
    }

    #[test]
    fn what_is_bound_is_compared_with_what_the_run_has() {
        let bound = |value: &str| {
            let (icu, other): (Cpv, Cpv) =
                ("dev-libs/icu-75".parse().unwrap(), "dev-libs/icu-60".parse().unwrap());
            let there = |cp: &str| {
                let all = [(&icu, "0/75".parse().unwrap()), (&other, "60".parse().unwrap())];
                all.into_iter().filter(|(cpv, _)| cpv.is_of(cp)).collect()
            };
            let metadata = Metadata::default().with("RDEPEND", value);
            check_bound(|key| metadata.get(key), there).map_err(|error| error.to_string())
        };
        for right in
            ["dev-libs/icu:0/75=", "dev-libs/icu:60/60=", "dev-libs/icu:7/7=", "a/none:0/1=", "dev-libs/icu"]
        {
            assert_eq!(bound(right), Ok(()), "{right}");
        }
        let said = "RDEPEND is bound to >=dev-libs/icu-70:0/74=, but the run has dev-libs/icu-75:0/75";
        assert_eq!(bound("a/b || ( >=dev-libs/icu-70:0/74= a/c )"), Err(said.to_owned()));
    }

    #[test]
    fn a_key_is_refused() {
        let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n", "A1b2".repeat(16));
        let said = verdict("BINPKGMD5", &key).unwrap_err();
        assert!(said.starts_with("BINPKGMD5 holds a private key; "), "{said}");
    }

    #[test]
    fn a_slot_without_sub_slot_is_its_own() {
        let with = |slot: &str| Metadata::default().with("SLOT", slot);
        for (found, asked) in [("0", "0/0"), ("0/0", "0"), ("0", "0")] {
            assert_eq!(check_slot(&with(found), &asked.parse().unwrap()), Ok(()), "{found} {asked}");
        }
    }
}
