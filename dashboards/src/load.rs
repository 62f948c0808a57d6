//! Reads dashboard files: all of `dashboards/`, and files of kind Dashboard that lie in the directory itself.
//!
//! Invariants: files are at most 1 MiB, at most 200; no file can make this panic.

use std::io::Read;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use crate::definition::{Dashboard, json_schema};
use crate::error::DashboardError;
use crate::rules::violations;
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

/// Reads and checks all dashboards under `dir`, ordered by file. `slos` are the ids that threshold references may name.
/// A directory without dashboards is empty, not an error.
///
/// # Errors
/// Every mistake found, with file and line.
pub fn load(dir: &Path, slos: &[String]) -> Result<Vec<LoadedDashboard>, Vec<DashboardError>> {
    let mut errors = Vec::new();
    let mut loaded: Vec<LoadedDashboard> = Vec::new();
    let schema = json_schema();
    // The schema is made from our own structs; a test shows that it is a valid one.
    let validator = jsonschema::validator_for(&schema).expect("the generated schema is valid");
    for file in dashboard_files(dir, &mut errors) {
        match read(&file, &validator, slos) {
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
    if errors.is_empty() { Ok(loaded) } else { Err(errors) }
}

fn dashboard_files(dir: &Path, errors: &mut Vec<DashboardError>) -> Vec<PathBuf> {
    let mut files = yaml_files(&dir.join("dashboards"), errors);
    let is_dashboard = |file: &PathBuf| {
        let located = read_text(file).ok().and_then(|text| Located::parse(&text).ok());
        located.is_some_and(|located| located.value["kind"] == "Dashboard")
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
fn read(file: &Path, validator: &Validator, slos: &[String]) -> Result<(Dashboard, u64), Vec<DashboardError>> {
    let at = |line: u64, message: String| DashboardError { file: file.to_owned(), line, message };
    let text = read_text(file).map_err(|message| vec![at(1, message)])?;
    let located = Located::parse(&text).map_err(|(line, message)| vec![at(line, message)])?;
    let unfit: Vec<DashboardError> = validator
        .iter_errors(&located.value)
        .map(|error| {
            let (pointer, message) = explain(error.instance_path().as_str(), error.kind(), error.to_string());
            at(located.line(&pointer), message)
        })
        .collect();
    if !unfit.is_empty() {
        return Err(unfit);
    }
    let dashboard: Dashboard =
        serde_json::from_value(located.value.clone()).map_err(|error| vec![at(1, error.to_string())])?;
    let wrong = violations(&dashboard, slos);
    if !wrong.is_empty() {
        return Err(wrong.into_iter().map(|v| at(located.line(&v.pointer), v.message)).collect());
    }
    Ok((dashboard, located.line("/id")))
}

/// Where a schema violation is, and what it means to the author.
fn explain(path: &str, kind: &ValidationErrorKind, text: String) -> (String, String) {
    let shown = if path.is_empty() { "the dashboard" } else { path };
    match kind {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let first = unexpected.first().map(String::as_str).unwrap_or_default();
            (format!("{path}/{first}"), format!("{shown} has no field {}", unexpected.join(", ")))
        }
        ValidationErrorKind::AnyOf { .. } if path.contains("/thresholds/") => {
            let message = "a threshold is either { slo, line } or { value, label }".to_owned();
            (path.to_owned(), message)
        }
        ValidationErrorKind::Required { property: Value::String(property) } => {
            (path.to_owned(), format!("{shown} lacks the field {property:?}"))
        }
        _ => (path.to_owned(), format!("{shown}: {text}")),
    }
}
