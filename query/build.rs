//! Turns `ui/dist` into a table of embedded files, so that the binary serves the web app by itself.
//!
//! Without a built web app (no Node) one page takes its place, so that `cargo build` always works.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Daymark</title></head>\
<body><h1>UI not built: run make build</h1><p>The API is served under <code>/api/v1</code>.</p></body></html>\n";

fn main() -> io::Result<()> {
    let from_env = |name: &str| env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let out = from_env("OUT_DIR")?;
    let ui = from_env("CARGO_MANIFEST_DIR")?.join("../ui");
    let dist = ui.join("dist");
    println!("cargo::rerun-if-changed=build.rs");
    // A folder that does not exist yet would make cargo rebuild each time, so watch it only once it is there.
    // `ui/Makefile`-style builds create it, which changes `ui` itself.
    println!("cargo::rerun-if-changed={}", if dist.is_dir() { dist.display() } else { ui.display() });

    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist, &mut files)?;
        files.sort();
    } else {
        let page = out.join("index.html");
        fs::write(&page, NOT_BUILT)?;
        files.push(page);
    }
    let root = if dist.join("index.html").is_file() { dist } else { out.clone() };
    fs::write(out.join("ui_files.rs"), table(&root, &files)?)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// `&[(path below the root, bytes, hash of the bytes)]`
fn table(root: &Path, files: &[PathBuf]) -> io::Result<String> {
    let mut text = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(root).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
        let hash = xxhash_rust::xxh3::xxh3_64(&fs::read(file)?);
        let absolute = file.canonicalize()?;
        writeln!(text, "({name:?}, include_bytes!({absolute:?}), \"{hash:016x}\"),").map_err(io::Error::other)?;
    }
    text.push(']');
    Ok(text)
}
