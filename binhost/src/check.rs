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
//!
//! Besides, its dependencies must be as Portage stores those of a built package (`doebuild.py`,
//! `_post_src_install_write_metadata`): USE conditionals evaluated, and every `:=` bound to a slot and sub-slot. An
//! unbound one means that the dependency was not installed while it was built. Within `|| ( )` Portage itself leaves
//! the branches that are not installed unbound (`dep/_slot_operator.py`), and PDEPEND is built later.

mod dependencies;

use crate::gpkg::{Gpkg, Metadata};
use dependencies::Fault;
use std::collections::BTreeSet;
use swarm_protocol::binhost::Expected;
use swarm_protocol::gentoo::{Slot, UseFlag};

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
    check_dependencies(metadata)
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
    fn a_slot_without_sub_slot_is_its_own() {
        let with = |slot: &str| Metadata::default().with("SLOT", slot);
        for (found, asked) in [("0", "0/0"), ("0/0", "0"), ("0", "0")] {
            assert_eq!(check_slot(&with(found), &asked.parse().unwrap()), Ok(()), "{found} {asked}");
        }
    }
}
