//! Reads dashboard files: all of `dashboards/`, and files of kind Dashboard that lie in the directory itself.
//!
//! Invariants: files are at most 1 MiB, at most 200; no file can make this panic.

use std::io::Read;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;

use crate::definition::{Dashboard, json_schema};
use crate::error::DashboardError;
use crate::explain::explain;
use crate::references::SloLines;
use crate::rules::{Findings, Violation, findings};
use crate::tree::Located;

const MAX_FILE_BYTES: u64 = 1024 * 1024;
const MAX_FILES: usize = 200;

/// A dashboard and the file it came from.
#[derive(Clone, Debug)]
pub struct LoadedDashboard {
    /// The content.
    pub dashboard: Dashboard,
    /// The file.
    pub file: PathBuf,
}

/// Reads and checks all dashboards under `dir`, ordered by file. `slos` is what threshold references may name.
/// A directory without dashboards is empty, not an error.
///
/// # Errors
/// Every mistake found, with file and line.
pub fn load(dir: &Path, slos: &SloLines) -> Result<Vec<LoadedDashboard>, Vec<DashboardError>> {
    load_with_notes(dir, slos).map(|(loaded, _)| loaded).map_err(|(errors, _)| errors)
}

/// What was found, and notes about what could not be checked.
type Noted<T> = (T, Vec<DashboardError>);

pub(crate) fn load_with_notes(
    dir: &Path,
    slos: &SloLines,
) -> Result<Noted<Vec<LoadedDashboard>>, Noted<Vec<DashboardError>>> {
    let (mut errors, mut notes) = (Vec::new(), Vec::new());
    let mut loaded: Vec<LoadedDashboard> = Vec::new();
    let schema = Schema::new();
    for file in dashboard_files(dir, &mut errors) {
        match read(&file, &schema, slos, &mut notes) {
            Ok((dashboard, id_line)) => {
                if let Some(other) = loaded.iter().find(|other| other.dashboard.id == dashboard.id) {
                    let message = format!("id {:?} is already used in {}", dashboard.id, other.file.display());
                    errors.push(DashboardError { file: file.clone(), line: id_line, message });
                }
                loaded.push(LoadedDashboard { dashboard, file });
            }
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok((loaded, notes)) } else { Err((errors, notes)) }
}

struct Schema {
    json: Value,
    validator: Validator,
}

impl Schema {
    fn new() -> Schema {
        let json = json_schema();
        // The schema is made from our own structs; a test shows that it is a valid one.
        let validator = jsonschema::validator_for(&json).expect("the generated schema is valid");
        Schema { json, validator }
    }
}

fn dashboard_files(dir: &Path, errors: &mut Vec<DashboardError>) -> Vec<PathBuf> {
    let mut files = yaml_files(&dir.join("dashboards"), errors);
    // A file that cannot be parsed says what it is on a line of its own.
    let is_meant = |said: &str| said.trim().eq_ignore_ascii_case("dashboard");
    let is_dashboard = |file: &PathBuf| {
        let Ok(text) = read_text(file) else { return false };
        match Located::parse(&text) {
            Ok(located) => located.value["kind"].as_str().is_some_and(is_meant),
            Err(_) => text.lines().filter_map(|line| line.strip_prefix("kind:")).any(is_meant),
        }
    };
    files.extend(yaml_files(dir, errors).into_iter().filter(is_dashboard));
    files
}

fn yaml_files(dir: &Path, errors: &mut Vec<DashboardError>) -> Vec<PathBuf> {
    let mut whole = |message: String| errors.push(DashboardError { file: dir.to_owned(), line: 1, message });
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            whole(format!("cannot list the directory: {error}"));
            return Vec::new();
        }
    };
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_yaml).collect();
    files.sort();
    if files.len() > MAX_FILES {
        whole(format!("{} files, at most {MAX_FILES} are read", files.len()));
        files.truncate(MAX_FILES);
    }
    files
}

fn read_text(file: &Path) -> Result<String, String> {
    let open = std::fs::File::open(file).map_err(|error| format!("cannot open: {error}"))?;
    let mut text = String::new();
    let read = open.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| format!("cannot read as UTF-8 text: {error}"))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

/// The dashboard in `file` and the line of its id.
fn read(
    file: &Path,
    schema: &Schema,
    slos: &SloLines,
    notes: &mut Vec<DashboardError>,
) -> Result<(Dashboard, u64), Vec<DashboardError>> {
    let at = |line: u64, message: String| DashboardError { file: file.to_owned(), line, message };
    let text = read_text(file).map_err(|message| vec![at(1, message)])?;
    let located = Located::parse(&text).map_err(|(line, message)| vec![at(line, message)])?;
    let located_at = |found: Violation| at(located.line(&found.pointer), found.message);
    let unfit = schema.validator.iter_errors(&located.value).flat_map(|error| explain(&error, &schema.json));
    let unfit: Vec<DashboardError> = unfit.map(located_at).collect();
    if !unfit.is_empty() {
        return Err(unfit);
    }
    let dashboard: Dashboard =
        serde_json::from_value(located.value.clone()).map_err(|error| vec![at(1, error.to_string())])?;
    let Findings { wrong, notes: unchecked } = findings(&dashboard, slos);
    notes.extend(unchecked.into_iter().map(located_at));
    if !wrong.is_empty() {
        return Err(wrong.into_iter().map(located_at).collect());
    }
    Ok((dashboard, located.line("/id")))
}
