//! What a question puts into its root: written into the overlay's upper layer before the root is entered.
//!
//! | path | what |
//! |---|---|
//! | `/var/cache/swarm/resolver` | the program, its request, its answer |
//! | `/var/cache/swarm/index` | the `Packages` file of the binaries that may be kept |
//! | `/var/lib/portage/world`, `world_sets` | the world of the question |
//! | `binrepos.conf`, the target's and Portage's own | empty, in the place of a file or a directory of the base root |

use crate::emerge::INDEX_DIR;
use crate::root::AttemptDir;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use swarm_protocol::gentoo::{Cpv, WorldAtom};

/// Where the program lies in the root.
pub const PROGRAM_DIR: &str = "/var/cache/swarm/resolver";

/// An index that lists nothing. Portage ignores one without a TIMESTAMP.
pub const EMPTY_INDEX: &str = "PACKAGES: 0\nTIMESTAMP: 1\nVERSION: 0\n\n";

const PROGRAM: &[(&str, &str)] = &[
    ("resolve.py", include_str!("../../resolver/resolve.py")),
    ("planning.py", include_str!("../../resolver/planning.py")),
    ("about.py", include_str!("../../resolver/about.py")),
    ("wanting.py", include_str!("../../resolver/wanting.py")),
    ("gate.py", include_str!("../../resolver/gate.py")),
    ("keys.py", include_str!("../../resolver/keys.py")),
    ("index.py", include_str!("../../resolver/index.py")),
    ("session.py", include_str!("../../resolver/session.py")),
    ("options.py", include_str!("../../resolver/options.py")),
    ("graph.py", include_str!("../../resolver/graph.py")),
    ("findings.py", include_str!("../../resolver/findings.py")),
    ("hazards.py", include_str!("../../resolver/hazards.py")),
    ("atoms.py", include_str!("../../resolver/atoms.py")),
    ("stages.py", include_str!("../../resolver/stages.py")),
    ("substitutes.py", include_str!("../../resolver/substitutes.py")),
    ("waits.py", include_str!("../../resolver/waits.py")),
    ("toolchain.py", include_str!("../../resolver/toolchain.py")),
    ("unsatisfied.py", include_str!("../../resolver/unsatisfied.py")),
    ("words.py", include_str!("../../resolver/words.py")),
];

/// Below the root: where Portage looks for binary repositories (`bintree.populate`).
const BINARY_REPOSITORIES: [&str; 2] =
    ["/etc/portage/binrepos.conf", "/usr/share/portage/config/binrepos.conf"];

/// The request, in the root.
#[must_use]
pub fn request() -> String {
    format!("{PROGRAM_DIR}/request.json")
}

/// The answer, in the root.
#[must_use]
pub fn answer() -> String {
    format!("{PROGRAM_DIR}/answer.json")
}

/// A path of the root in the upper layer.
#[must_use]
pub fn in_upper(dir: &AttemptDir, path: &str) -> PathBuf {
    dir.upper().join(path.trim_start_matches('/'))
}

/// Makes the place of the index and returns the file to write.
pub fn index_file(dir: &AttemptDir) -> io::Result<PathBuf> {
    place(dir, &format!("{INDEX_DIR}/Packages"))
}

/// Writes everything but the index; `request` is the question's own part of the request.
pub fn prepare(dir: &AttemptDir, world: &[WorldAtom], mask: &[Cpv], mut request: Value) -> io::Result<()> {
    for (name, text) in PROGRAM {
        put(dir, &format!("{PROGRAM_DIR}/{name}"), text)?;
    }
    request["world"] = json!(world);
    request["mask"] = json!(mask);
    request["index"] = INDEX_DIR.into();
    put(dir, &self::request(), &request.to_string())?;
    let (sets, atoms): (Vec<_>, Vec<_>) = world.iter().partition(|atom| atom.is_set());
    put(dir, "/var/lib/portage/world", &lines(&atoms))?;
    put(dir, "/var/lib/portage/world_sets", &lines(&sets))?;
    BINARY_REPOSITORIES.iter().try_for_each(|path| put(dir, path, ""))
}

fn lines(atoms: &[&WorldAtom]) -> String {
    atoms.iter().flat_map(|atom| [atom.as_str(), "\n"]).collect()
}

fn put(dir: &AttemptDir, path: &str, text: &str) -> io::Result<()> {
    let file = place(dir, path)?;
    fs::write(&file, text)?;
    fs::set_permissions(file, Permissions::from_mode(0o644))
}

/// Makes the directories above `path`. The upper layer's modes become the root's: whatever our umask is, Portage's own user
/// must pass.
fn place(dir: &AttemptDir, path: &str) -> io::Result<PathBuf> {
    let mut here = dir.upper();
    for part in Path::new(path).parent().into_iter().flat_map(Path::iter).skip(1) {
        here.push(part);
        if !here.is_dir() {
            fs::create_dir(&here)?;
            fs::set_permissions(&here, Permissions::from_mode(0o755))?;
        }
    }
    Ok(in_upper(dir, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_and_the_program_are_there_for_everybody() {
        let state = tempfile::tempdir().unwrap();
        let dir = AttemptDir::create(state.path(), "1").unwrap();
        let world = ["app-misc/jq", "@tools", "app-arch/pigz"].map(|atom| atom.parse().unwrap());
        prepare(&dir, &world, &[], json!({"question": "plan"})).unwrap();
        let read = |path: &str| fs::read_to_string(in_upper(&dir, path)).unwrap();
        assert_eq!(read("/var/lib/portage/world"), "app-misc/jq\napp-arch/pigz\n");
        assert_eq!(read("/var/lib/portage/world_sets"), "@tools\n");
        assert_eq!(read("/etc/portage/binrepos.conf"), "");
        let mode = |path: &str| in_upper(&dir, path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("/var"), mode(PROGRAM_DIR), mode(&request())), (0o755, 0o755, 0o644));
    }
}
