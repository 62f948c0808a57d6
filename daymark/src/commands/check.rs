//! `daymark slo check` and `daymark dashboards check`: what a pull request runs, offline.

use std::path::Path;

/// Checks SLOs, routes and receivers.
///
/// # Errors
/// When a definition is wrong; the report has been printed.
#[expect(clippy::print_stdout, reason = "the report is what was asked for")]
pub(crate) fn slo(dir: &Path) -> anyhow::Result<()> {
    let report = daymark_alerts::check(dir);
    print!("{report}");
    anyhow::ensure!(report.is_ok(), "{} wrong in {}", count(report.errors.len()), dir.display());
    Ok(())
}

/// Checks dashboards; threshold lines must name an SLO that is defined beside them.
///
/// # Errors
/// When a dashboard is wrong; the report has been printed.
#[expect(clippy::print_stdout, reason = "the report is what was asked for")]
pub(crate) fn dashboards(dir: &Path) -> anyhow::Result<()> {
    let slos = daymark_alerts::Definitions::load(dir).map(|definitions| slo_ids(&definitions)).unwrap_or_default();
    let report = daymark_dashboards::check(dir, &slos);
    print!("{report}");
    anyhow::ensure!(report.is_ok(), "{} wrong in {}", count(report.errors.len()), dir.display());
    Ok(())
}

/// Ids of all SLOs, for references in dashboards.
pub(crate) fn slo_ids(definitions: &daymark_alerts::Definitions) -> Vec<String> {
    definitions.slos.iter().map(|slo| slo.id.to_string()).collect()
}

fn count(errors: usize) -> String {
    if errors == 1 { "1 thing is".to_owned() } else { format!("{errors} things are") }
}
