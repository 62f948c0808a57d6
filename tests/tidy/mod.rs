//! The shape of the code: who may depend on whom, what the agent must not carry, how long files are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use daymark_tests::workspace_root;

const COMPONENTS: [&str; 6] = ["agent", "collector", "query", "alerts", "dashboards", "demo"];
const FILE_LINES: usize = 400;

/// Our own crates that the manifest in `dir` depends on, tests aside.
fn own_dependencies(dir: &str) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(workspace_root().join(dir).join("Cargo.toml")).unwrap();
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside && line.starts_with("daymark-") {
            let name = line.split(['.', ' ', '=']).next().unwrap();
            found.insert(name.to_owned());
        }
    }
    found
}

fn foundation() -> BTreeSet<String> {
    let folders = std::fs::read_dir(workspace_root().join("foundation")).unwrap();
    folders.map(|folder| format!("daymark-{}", folder.unwrap().file_name().to_string_lossy())).collect()
}

#[test]
fn components_depend_on_the_foundation_only() {
    let foundation = foundation();
    for component in COMPONENTS {
        let dependencies = own_dependencies(component);
        let wrong: Vec<_> = dependencies.difference(&foundation).collect();
        assert!(wrong.is_empty(), "{component} depends on {wrong:?}; only the binary may know components");
    }
    for crate_name in &foundation {
        let folder = format!("foundation/{}", crate_name.trim_start_matches("daymark-"));
        let dependencies = own_dependencies(&folder);
        let wrong: Vec<_> = dependencies.difference(&foundation).collect();
        assert!(wrong.is_empty(), "{folder} depends on {wrong:?}; the foundation knows no component");
    }
    assert!(!own_dependencies("query").contains("daymark-sql"), "query reaches SQL through its seam only");
}

#[test]
fn the_agent_carries_no_store_and_no_query_engine() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let tree = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "-p", "daymark-agent", "-e", "normal", "--prefix", "none"])
        .current_dir(workspace_root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("daymark-wire"), "the tree was read: {tree}");
    for heavy in ["arrow", "arrow-array", "parquet", "tantivy", "datafusion", "object_store", "daymark-store"] {
        assert!(!names.contains(heavy), "the agent depends on {heavy}");
    }
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let skipped = ["target", "node_modules", "dist", ".git", ".venv", "load"].contains(&name.as_str());
        if path.is_dir() && !skipped {
            sources(&path, found);
        } else if [".rs", ".ts", ".tsx"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
}

/// A report, not a rule: a longer file is a question to its author.
#[test]
fn file_sizes_are_reported() {
    let root = workspace_root();
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 100, "the sources were found");
    let mut long: Vec<(usize, PathBuf)> = files
        .into_iter()
        .map(|file| (std::fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > FILE_LINES)
        .collect();
    long.sort_unstable_by(|a, b| b.cmp(a));
    for (lines, file) in long {
        println!("{lines} lines: {}", file.strip_prefix(&root).unwrap().display());
    }
}
