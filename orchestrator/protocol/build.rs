//! The version that every program says: the package's, and the commit that it was built from, where whoever builds names it.
//! Git is not asked: sources come without it too, and a commit would else make everything be built anew.

fn main() {
    println!("cargo::rerun-if-env-changed=BUILD_SWARM_COMMIT");
    let package = env!("CARGO_PKG_VERSION");
    let version = match std::env::var("BUILD_SWARM_COMMIT") {
        Ok(commit) if !commit.is_empty() => format!("{package} ({commit})"),
        _ => package.to_owned(),
    };
    println!("cargo::rustc-env=BUILD_SWARM_VERSION={version}");
}
