//! Reads a definitions directory: `slos/*.yaml` and `alerting.yaml`, and the ids of `dashboards/*.yaml` to resolve links.
//!
//! All mistakes of all files are collected, so that one run of `check` shows them all.
//!
//! Invariants: files are at most 1 MiB, at most 500 of a kind; no file can make this panic.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use daymark_model::{did_you_mean, yaml_reason};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_saphyr::{Location, Spanned};

use crate::definition::{BrokenSlo, Definitions, Receiver, Route, Severity, Slo};
use crate::error::DefinitionError;
use crate::validate::{RawSlo, validate_slo};

/// Largest definition file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Most files of one kind; each SLO costs about 1 MiB of memory.
const MAX_FILES: usize = 500;

/// The parts of any definition file that tell what it is.
#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
    id: Option<String>,
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawAlerting {
    api_version: Spanned<String>,
    kind: Spanned<String>,
    #[serde(default)]
    receivers: Vec<RawReceiver>,
    #[serde(default)]
    routes: Vec<RawRoute>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReceiver {
    name: Spanned<String>,
    webhook: Spanned<RawWebhook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    url: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    severity: Spanned<Severity>,
    receiver: Spanned<String>,
}

/// Collects the mistakes of one file.
pub(crate) struct Mistakes<'a> {
    file: &'a Path,
    found: Vec<DefinitionError>,
}

impl<'a> Mistakes<'a> {
    pub(crate) fn of(file: &'a Path) -> Mistakes<'a> {
        Mistakes { file, found: Vec::new() }
    }

    pub(crate) fn at(&mut self, location: Location, message: impl Into<String>) {
        let known = location.line() > 0;
        self.found.push(DefinitionError {
            file: self.file.to_owned(),
            line: location.line().max(1),
            column: known.then(|| location.column()),
            message: message.into(),
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_errors(self) -> Vec<DefinitionError> {
        self.found
    }
}

/// Reads and checks everything under `dir`.
pub(crate) fn load(dir: &Path) -> Result<Definitions, Vec<DefinitionError>> {
    let (slos, broken) = load_slos(dir);
    let mut errors: Vec<DefinitionError> = broken.into_iter().flat_map(|broken| broken.errors).collect();
    let mut definitions = Definitions { slos, ..Definitions::default() };
    match read_alerting(&dir.join("alerting.yaml")) {
        Ok(Some((receivers, routes))) => (definitions.receivers, definitions.routes) = (receivers, routes),
        Ok(None) => {}
        Err(found) => errors.extend(found),
    }
    definitions.warnings = unrouted_severities(dir, &definitions);
    let known = dashboard_ids(dir);
    let dangling = dangling_dashboards(&known, &definitions.slos);
    if known.unread.is_empty() {
        errors.extend(dangling);
    } else {
        definitions.warnings.extend(dangling);
    }
    if errors.is_empty() { Ok(definitions) } else { Err(errors) }
}

/// The sound SLOs in order of their ids, and the broken ones.
pub(crate) fn load_slos(dir: &Path) -> (Vec<Slo>, Vec<BrokenSlo>) {
    let mut unlisted = Vec::new();
    let (mut slos, mut broken) = (Vec::new(), Vec::new());
    for file in slo_files(dir, &mut unlisted) {
        match read_slo(&file) {
            Ok(slo) => slos.push(slo),
            Err(errors) => broken.push(BrokenSlo { id: kind_of(&file).and_then(|found| found.id), file, errors }),
        }
    }
    if !unlisted.is_empty() {
        broken.push(BrokenSlo { id: None, file: dir.to_owned(), errors: unlisted });
    }
    slos.sort_by(|a, b| a.id.cmp(&b.id));
    let twice = duplicate_slos(&slos).into_iter();
    broken.extend(twice.map(|(id, error)| BrokenSlo { id: Some(id), file: error.file.clone(), errors: vec![error] }));
    (slos, broken)
}

/// A mistake in a file as a whole.
pub(crate) fn whole_file(file: &Path, message: impl Into<String>) -> DefinitionError {
    DefinitionError { file: file.to_owned(), line: 1, column: None, message: message.into() }
}

/// The YAML files in `dir`, in order of name; none when it does not exist.
fn yaml_files(dir: &Path, errors: &mut Vec<DefinitionError>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            errors.push(whole_file(dir, format!("cannot list the directory: {error}")));
            return Vec::new();
        }
    };
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_yaml).collect();
    files.sort();
    if files.len() > MAX_FILES {
        errors.push(whole_file(dir, format!("{} definition files, at most {MAX_FILES} are read", files.len())));
        files.truncate(MAX_FILES);
    }
    files
}

/// SLO files: all of `slos/`, and files of kind SLO that lie in the directory itself.
fn slo_files(dir: &Path, errors: &mut Vec<DefinitionError>) -> Vec<PathBuf> {
    let mut files = yaml_files(&dir.join("slos"), errors);
    files.extend(yaml_files(dir, errors).into_iter().filter(|file| is_kind(file, "SLO")));
    files
}

/// Whether a file says that it is of a kind. One that cannot be parsed says it on a line of its own.
fn is_kind(file: &Path, kind: &str) -> bool {
    let Ok(text) = read_text(file) else { return false };
    let is_meant = |said: &str| said.eq_ignore_ascii_case(kind);
    match serde_saphyr::from_str::<Kind>(&text) {
        Ok(found) => found.kind.as_deref().is_some_and(is_meant),
        Err(_) => text.lines().filter_map(|line| line.strip_prefix("kind:")).any(|said| is_meant(said.trim())),
    }
}

fn kind_of(file: &Path) -> Option<Kind> {
    serde_saphyr::from_str(&read_text(file).ok()?).ok()
}

fn read_text(file: &Path) -> Result<String, Vec<DefinitionError>> {
    let fail = |message: String| vec![whole_file(file, message)];
    let open = std::fs::File::open(file).map_err(|error| fail(format!("cannot open: {error}")))?;
    let mut text = String::new();
    let read = open.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| fail(format!("cannot read as UTF-8 text: {error}")))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(fail(format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Vec<DefinitionError>> {
    serde_saphyr::from_str(text).map_err(|error| {
        let plain = error.without_snippet();
        let location = plain.location();
        let line = location.map_or(1, |location| location.line().max(1));
        let column = location.map(|location| location.column());
        let message = yaml_reason(&first_sentence(&plain.to_string()), text, line, column.unwrap_or(1));
        vec![DefinitionError { file: file.to_owned(), line, column, message }]
    })
}

/// The message without the position that it repeats.
fn first_sentence(message: &str) -> String {
    let line = message.lines().next().unwrap_or("not valid YAML");
    let cut = line.find(" at line ").unwrap_or(line.len());
    let line = &line[..cut];
    let text = line.strip_prefix("error: ").unwrap_or(line);
    let after_position = text.strip_prefix("line ").and_then(|rest| rest.split_once(": ")).map(|(_, rest)| rest);
    after_position.unwrap_or(text).to_owned()
}

fn read_slo(file: &Path) -> Result<Slo, Vec<DefinitionError>> {
    let text = read_text(file)?;
    let raw: RawSlo = parse(file, &text)?;
    validate_slo(raw, file, text)
}

fn duplicate_slos(slos: &[Slo]) -> Vec<(String, DefinitionError)> {
    let same = |pair: &&[Slo]| pair[0].id == pair[1].id;
    let error = |pair: &[Slo]| {
        let message = format!("id {:?} is already used in {}", pair[1].id.as_str(), pair[0].file.display());
        (pair[1].id.to_string(), whole_file(&pair[1].file, message))
    };
    slos.windows(2).filter(same).map(error).collect()
}

type Alerting = (Vec<Receiver>, Vec<Route>);

fn read_alerting(file: &Path) -> Result<Option<Alerting>, Vec<DefinitionError>> {
    if !file.exists() {
        return Ok(None);
    }
    let raw: RawAlerting = parse(file, &read_text(file)?)?;
    let mut mistakes = Mistakes::of(file);
    if raw.api_version.value != "daymark/v1" {
        mistakes.at(raw.api_version.referenced, "apiVersion must be daymark/v1");
    }
    if raw.kind.value != "Alerting" {
        mistakes.at(raw.kind.referenced, "kind must be Alerting");
    }
    let mut receivers: Vec<Receiver> = Vec::new();
    for receiver in raw.receivers {
        let (name, url) = (receiver.name.value, receiver.webhook.value.url);
        if receivers.iter().any(|known| known.name == name) {
            mistakes.at(receiver.name.referenced, format!("receiver {name:?} is defined twice"));
        }
        if !is_absolute_url(&url.value) {
            mistakes.at(url.referenced, format!("{:?} is not an absolute http or https URL", url.value));
        }
        receivers.push(Receiver { name, url: url.value });
    }
    let mut routes = Vec::new();
    for route in raw.routes {
        let receiver = route.receiver.value;
        if receivers.iter().all(|known| known.name != receiver) {
            let meant = did_you_mean(&receiver, receivers.iter().map(|known| known.name.as_str()));
            let message = format!("receiver {receiver:?} is not defined under receivers{meant}");
            mistakes.at(route.receiver.referenced, message);
        }
        routes.push(Route { severity: route.severity.value, receiver });
    }
    if mistakes.is_empty() { Ok(Some((receivers, routes))) } else { Err(mistakes.into_errors()) }
}

/// Whether `text` is a URL that works outside of the page it is read on.
pub(crate) fn is_absolute_url(text: &str) -> bool {
    text.parse::<reqwest::Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// The ids of dashboards.
struct DashboardIds {
    known: Vec<String>,
    /// Files whose id cannot be read: `dashboards check` tells why.
    unread: Vec<String>,
}

fn dashboard_ids(dir: &Path) -> DashboardIds {
    let mut unlisted = Vec::new();
    let own = yaml_files(&dir.join("dashboards"), &mut unlisted);
    let others = yaml_files(dir, &mut unlisted).into_iter().filter(|file| is_kind(file, "Dashboard"));
    let mut ids = DashboardIds { known: Vec::new(), unread: Vec::new() };
    for file in own.into_iter().chain(others) {
        match kind_of(&file).and_then(|found| found.id) {
            Some(id) => ids.known.push(id),
            None => ids.unread.push(file.display().to_string()),
        }
    }
    ids
}

/// SLOs whose dashboard is an id that no dashboard file has, as far as the files can be read.
fn dangling_dashboards(ids: &DashboardIds, slos: &[Slo]) -> Vec<DefinitionError> {
    let is_known = |dashboard: &str| is_absolute_url(dashboard) || ids.known.iter().any(|id| id == dashboard);
    let error = |slo: &Slo| {
        let id = slo.dashboard.as_deref().filter(|dashboard| !is_known(dashboard))?;
        let line = slo.yaml.lines().position(|line| line.starts_with("dashboard:")).map_or(1, |at| at as u64 + 1);
        let message = if ids.unread.is_empty() {
            let meant = did_you_mean(id, ids.known.iter().map(String::as_str));
            format!("dashboard {id:?} is neither the id of a file in dashboards/ nor an absolute URL{meant}")
        } else {
            format!("dashboard {id:?} was not checked, because {} cannot be read", ids.unread.join(", "))
        };
        Some(DefinitionError { file: slo.file.clone(), line, column: None, message })
    };
    slos.iter().filter_map(error).collect()
}

/// Severities that some tier has and no route delivers.
fn unrouted_severities(dir: &Path, definitions: &Definitions) -> Vec<DefinitionError> {
    let used = |severity: Severity| {
        definitions.slos.iter().any(|slo| slo.policy.tiers.iter().any(|tier| tier.severity == severity))
    };
    let unrouted = |severity: &Severity| used(*severity) && definitions.receivers_of(*severity).is_empty();
    let warning = |severity: Severity| {
        let message = format!("no route for severity {severity}: such incidents are shown, nobody is told");
        whole_file(&dir.join("alerting.yaml"), message)
    };
    [Severity::Page, Severity::Ticket].into_iter().filter(unrouted).map(warning).collect()
}
