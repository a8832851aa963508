//! [`lineage`]: from a model back to its run, its data and its code.

use std::fmt::Write as _;

use oxilab_display::table::{Heading, Table};
use oxilab_display::{MimeBundle, Render};

use crate::Result;
use crate::record::{Input, ModelVersion, RunRecord};
use crate::registry::resolve;
use crate::session::session;
use crate::surroundings::WORKER;

/// Where a registered model comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    /// The model.
    pub version: ModelVersion,
    /// Its run; `None` when that is gone.
    pub run: Option<RunRecord>,
    /// The data that the run read.
    pub data: Vec<Input>,
}

/// Follows a model (see [`resolve`] for its address) back to its run, data and code.
///
/// ```
/// use oxilab_track as track;
/// track::set_uri("memory:")?;
/// let file = tempfile::NamedTempFile::new().expect("file");
/// let run = track::start_run("fit")?;
/// let data = track::Input { name: "cars.csv".into(), digest: "ab12".into(), ..Default::default() };
/// run.log_input(&data)?;
/// track::register(file.path(), "cars")?;
/// let lineage = track::lineage("cars/latest")?;
/// assert_eq!(lineage.run.expect("run").name, "fit");
/// assert_eq!(lineage.data[0].digest, "ab12");
/// # Ok::<(), track::TrackError>(())
/// ```
///
/// # Errors
/// If there is no such model, or the backend fails.
pub fn lineage(uri: &str) -> Result<Lineage> {
    let version = resolve(uri)?;
    let session = session()?;
    session.flush()?;
    let tracker = session.tracker();
    if version.run_id.is_empty() {
        return Ok(Lineage { version, run: None, data: Vec::new() });
    }
    let run = match tracker.run(&version.run_id) {
        Err(error) if error.is_transient() => return Err(error),
        run => run.ok(),
    };
    let data = if run.is_some() { tracker.inputs(&version.run_id)? } else { Vec::new() };
    Ok(Lineage { version, run, data })
}

impl Lineage {
    /// Rows of what, which and details.
    fn rows(&self) -> Vec<[String; 3]> {
        let version = &self.version;
        let aliases: String = version.aliases.iter().map(|alias| format!("@{alias} ")).collect();
        let name = format!("{} version {}", version.name, version.version);
        let mut rows = vec![["model".to_owned(), name, aliases.trim_end().to_owned()]];
        let Some(run) = &self.run else {
            rows.push(["run".to_owned(), version.run_id.clone(), "it is gone".to_owned()]);
            return rows;
        };
        let metrics = run.metrics.iter().filter(|(key, _)| !key.starts_with("system/"));
        let metrics: Vec<String> =
            metrics.map(|(key, value)| format!("{key} {value:.4}")).collect();
        rows.push(["run".to_owned(), format!("{} ({})", run.name, run.id), metrics.join(", ")]);
        for input in &self.data {
            let digest: String = input.digest.chars().take(16).collect();
            let name = format!("{} ({} rows)", input.name, input.rows);
            rows.push(["data".to_owned(), name, format!("digest {digest}")]);
        }
        let tag = |key: &str| run.tags.get(key).cloned();
        if let Some(commit) = tag("mlflow.source.git.commit") {
            let from = tag("mlflow.source.git.repoURL").unwrap_or_default();
            rows.push(["code".to_owned(), format!("commit {commit}"), from]);
        }
        let source = tag("mlflow.source.name").filter(|name| name != WORKER);
        let cell = tag("oxilab.cell.id").map(|id| format!("cell {id}"));
        if source.is_some() || cell.is_some() {
            let source = source.unwrap_or_else(|| "notebook unknown".to_owned());
            rows.push(["source".to_owned(), source, cell.unwrap_or_default()]);
        }
        rows
    }
}

impl Render for Lineage {
    fn render(&self) -> MimeBundle {
        let rows = self.rows();
        let mut text = String::new();
        for (depth, [what, which, details]) in rows.iter().enumerate() {
            let indent = "  ".repeat(depth.min(2));
            let arrow = if depth == 0 { "" } else { "← " };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{indent}{arrow}{what} {which}  {details}");
        }
        let mut table = Table::new(["", "", "details"].map(Heading::new).to_vec());
        for row in rows {
            table.push(row.map(Some).to_vec());
        }
        MimeBundle::text(text.trim_end().to_owned()).with_html(table.to_html())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Status;

    fn sources(tags: &[(&str, &str)]) -> Vec<[String; 3]> {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let run = RunRecord {
            id: "r".to_owned(),
            name: "fit".to_owned(),
            experiment: String::new(),
            status: Status::Finished,
            start_time: 0,
            end_time: None,
            params: BTreeMap::new(),
            metrics: BTreeMap::new(),
            tags: tags.collect(),
        };
        let version = ModelVersion {
            name: "m".to_owned(),
            version: 1,
            run_id: "r".to_owned(),
            source: String::new(),
            aliases: Vec::new(),
            created: 0,
        };
        let lineage = Lineage { version, run: Some(run), data: Vec::new() };
        lineage.rows().into_iter().filter(|row| row[0] == "source").collect()
    }

    #[test]
    fn the_worker_is_no_source() {
        assert!(sources(&[("mlflow.source.name", "oxilab-worker")]).is_empty());
        let cell = sources(&[("mlflow.source.name", "oxilab-worker"), ("oxilab.cell.id", "7")]);
        assert_eq!(cell[0][1..], ["notebook unknown", "cell 7"]);
        assert_eq!(sources(&[("mlflow.source.name", "a.ipynb")])[0][1], "a.ipynb");
    }
}
