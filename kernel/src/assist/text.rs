//! What can stand in a string: columns of frames, paths of files.

use std::fs;
use std::path::{Path, PathBuf};

use super::Desk;

/// Functions whose string names a column of whatever frame is around.
const OF_COLUMNS: &[&str] = &["col", "cols", "c", "nth", "dtype_col"];
/// Macros whose strings are formats or messages.
const MESSAGES: &[&str] = &[
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
    "format!",
    "panic!",
    "anyhow!",
    "bail!",
    "ensure!",
    "write!",
    "writeln!",
    "html",
    "markdown",
    "latex",
    "json",
];
/// Entries of a folder that are proposed at most.
const ENTRIES: usize = 500;

/// A proposal: text and what it is.
pub(super) type Proposal = (String, &'static str);

/// Proposals for a string, and how many characters of its end they replace.
pub(super) async fn proposals(
    desk: &Desk,
    content: &str,
    callees: &[String],
    names: &[String],
) -> (usize, Vec<Proposal>) {
    let columns = columns(desk, callees, names).await;
    let matching: Vec<Proposal> = columns
        .into_iter()
        .filter(|name| name.starts_with(content))
        .map(|name| (name, "column"))
        .collect();
    if !matching.is_empty() {
        return (content.chars().count(), matching);
    }
    let message = callees.first().is_some_and(|callee| MESSAGES.contains(&callee.as_str()));
    if message && !looks_like_path(content) {
        return (0, Vec::new());
    }
    paths(&desk.live.directory(), content, false)
}

/// Columns that a string in this place may name.
async fn columns(desk: &Desk, callees: &[String], names: &[String]) -> Vec<String> {
    let world = &desk.world;
    let is_frame = |name: &str| {
        world.variables.get(name).is_some_and(|ty| {
            ["DataFrame", "LazyFrame"]
                .contains(&super::index::last(ty.trim_start_matches(['&', ' '])))
        })
    };
    let mentioned: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| is_frame(name)).collect();
    let by_name = callees.iter().any(|callee| OF_COLUMNS.contains(&callee.as_str()));
    let reads = callees.first().is_some_and(|callee| {
        ["new", "open", "read", "write", "scan", "load", "save", "create", "from"]
            .iter()
            .any(|verb| callee == verb || callee.starts_with(&format!("{verb}_")))
    });
    if !by_name && (mentioned.is_empty() || callees.is_empty() || reads) {
        return Vec::new();
    }
    let mut asked: Vec<&str> = if mentioned.is_empty() {
        world.variables.keys().map(String::as_str).filter(|name| is_frame(name)).collect()
    } else {
        mentioned
    };
    asked.dedup();
    let mut found = Vec::new();
    for name in asked {
        for column in desk.live.columns(name).await {
            if !found.contains(&column) {
                found.push(column);
            }
        }
    }
    found
}

/// Whether a text is a path that is being typed.
pub(super) fn looks_like_path(text: &str) -> bool {
    text.contains('/') || text.starts_with(['~', '.'])
}

/// Files and folders whose path starts as typed, and how many characters of its end they replace.
pub(super) fn paths(directory: &Path, typed: &str, only_folders: bool) -> (usize, Vec<Proposal>) {
    if typed.contains('\n') || typed.contains("://") {
        return (0, Vec::new());
    }
    let (folder, start) = match typed.rsplit_once('/') {
        Some((folder, start)) => (format!("{folder}/"), start),
        None => (String::new(), typed),
    };
    let place = match folder.strip_prefix("~/") {
        Some(rest) => dirs::home_dir().unwrap_or_default().join(rest),
        None => directory.join(&folder),
    };
    let Ok(entries) = fs::read_dir(place) else { return (0, Vec::new()) };
    let mut found: Vec<Proposal> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            // Hidden files are proposed to those who ask for them.
            if !name.starts_with(start) || (name.starts_with('.') && !start.starts_with('.')) {
                return None;
            }
            let folder = is_folder(&entry.path());
            if only_folders && !folder {
                return None;
            }
            let text = if folder { format!("{name}/") } else { name };
            Some((text, if folder { "folder" } else { "path" }))
        })
        .take(ENTRIES)
        .collect();
    found.sort();
    (start.chars().count(), found)
}

fn is_folder(path: &PathBuf) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_proposed_by_their_start() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("data")).expect("made");
        fs::write(folder.path().join("data/cars é.csv"), "").expect("written");
        fs::write(folder.path().join("date.txt"), "").expect("written");
        fs::write(folder.path().join(".hidden"), "").expect("written");
        let paths = |typed, only| super::paths(folder.path(), typed, only);
        assert_eq!(
            paths("da", false).1,
            [("data/".to_owned(), "folder"), ("date.txt".to_owned(), "path")]
        );
        assert_eq!(paths("da", true).1, [("data/".to_owned(), "folder")]);
        assert_eq!(paths("data/ca", false), (2, vec![("cars é.csv".to_owned(), "path")]));
        assert_eq!(paths(".h", false).1, [(".hidden".to_owned(), "path")]);
        assert!(paths("", false).1.iter().all(|(name, _)| name != ".hidden"));
        assert!(paths("nowhere/x", false).1.is_empty());
        assert!(paths("http://x", false).1.is_empty());
    }
}
