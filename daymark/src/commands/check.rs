//! `daymark slo check` and `daymark dashboards check`: what a pull request runs, offline.

use std::path::Path;

use daymark_alerts::{BrokenSlo, Definitions};
use daymark_dashboards::{BrokenSloFile, SloLines};

use crate::commands::output;

/// Checks SLOs, routes and receivers.
///
/// # Errors
/// When a definition is wrong; the report has been printed.
pub(crate) fn slo(dir: &Path) -> anyhow::Result<()> {
    require_folder(dir)?;
    let report = daymark_alerts::check(dir);
    output::print(&report.to_string())?;
    anyhow::ensure!(report.is_ok(), "{} wrong in {}", count(report.errors.len()), dir.display());
    Ok(())
}

/// Checks dashboards; threshold lines must name an SLO that is defined beside them. What is wrong with such an SLO is
/// told too, because references to it cannot be checked.
///
/// # Errors
/// When a dashboard or an SLO is wrong; the report has been printed.
pub(crate) fn dashboards(dir: &Path) -> anyhow::Result<()> {
    require_folder(dir)?;
    let (report, errors) = dashboards_report(dir);
    output::print(&report)?;
    anyhow::ensure!(errors == 0, "{} wrong in {}", count(errors), dir.display());
    Ok(())
}

/// The report and how many things are wrong.
fn dashboards_report(dir: &Path) -> (String, usize) {
    let (sound, broken) = Definitions::load_slos(dir);
    let report = daymark_dashboards::check(dir, &slo_lines(&sound, &broken));
    let of_slos: Vec<String> =
        broken.iter().flat_map(|broken| &broken.errors).map(|error| format!("{error}\n")).collect();
    (format!("{}{report}", of_slos.concat()), of_slos.len() + report.errors.len())
}

/// What thresholds of dashboards may name.
pub(crate) fn slo_lines(sound: &Definitions, broken: &[BrokenSlo]) -> SloLines {
    let file = |broken: &BrokenSlo| BrokenSloFile { id: broken.id.clone(), file: broken.file.clone() };
    SloLines { known: sound.lines(), broken: broken.iter().map(file).collect() }
}

fn require_folder(dir: &Path) -> anyhow::Result<()> {
    let expected = "expected one with slos/, dashboards/ and alerting.yaml";
    anyhow::ensure!(dir.is_dir(), "{} is not a folder: {expected}", dir.display());
    Ok(())
}

fn count(errors: usize) -> String {
    if errors == 1 { "1 thing is".to_owned() } else { format!("{errors} things are") }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn demo(file: &str) -> String {
        let demo = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/definitions"));
        std::fs::read_to_string(demo.join(file)).unwrap()
    }

    /// The demo's definitions with `file` as `text`.
    fn changed(file: &str, text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["slos", "dashboards"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        let all = ["slos/checkout-availability.yaml", "slos/frontend-latency.yaml", "dashboards/shop-overview.yaml"];
        for name in all {
            std::fs::write(dir.path().join(name), demo(name)).unwrap();
        }
        std::fs::write(dir.path().join(file), text).unwrap();
        dir
    }

    #[test]
    fn a_broken_slo_is_blamed_and_nothing_else() {
        const SLO: &str = "slos/checkout-availability.yaml";
        for text in ["kind: [\n".to_owned(), demo(SLO).replace("\"99.9\"", "\"many\"")] {
            let dir = changed(SLO, &text);
            let (report, errors) = dashboards_report(dir.path());
            assert_eq!(errors, 1, "{report}");
            let blamed: Vec<&str> = report.lines().filter(|line| !line.ends_with("(note)")).collect();
            assert!(blamed[0].contains(SLO), "{report}");
            assert!(report.contains("the reference to SLO \"checkout-availability\" was not checked"), "{report}");
            assert!(!report.contains("frontend-latency"), "{report}");
        }
    }

    #[test]
    fn a_line_that_its_slo_lacks_is_wrong() {
        const DASHBOARD: &str = "dashboards/shop-overview.yaml";
        let dir = changed(DASHBOARD, &demo(DASHBOARD).replace("line: page-fast", "line: page-fats"));
        let (report, errors) = dashboards_report(dir.path());
        assert_eq!(errors, 1, "{report}");
        let lines = "(it has budget, page-fast, page-slow, ticket-fast, ticket-slow)";
        assert!(report.contains("did you mean \"page-fast\"?") && report.contains(lines), "{report}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        for check in [slo, dashboards] {
            let said = check(Path::new("/no/such/folder")).unwrap_err().to_string();
            assert!(said.starts_with("/no/such/folder is not a folder: expected one with slos/"), "{said}");
        }
    }
}
