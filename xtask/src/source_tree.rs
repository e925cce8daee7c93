//! The files of the repository, read once.
//!
//! What must always hold: nothing that a build makes is looked at (`target`, `.cache`), so that tidy says the same in a fresh
//! clone and in a used one.

use std::path::{Path, PathBuf};

/// A text file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// From the top of the repository, with `/`.
    pub(crate) path: String,
    /// Its text; empty when it is not UTF-8.
    pub(crate) text: String,
}

/// The files of the repository.
#[derive(Debug, Clone)]
pub(crate) struct SourceTree {
    /// The top of the repository.
    pub(crate) root: PathBuf,
    /// By path.
    pub(crate) files: Vec<SourceFile>,
}

const SKIPPED: &[&str] = &["target", ".cache", ".git", "node_modules", "__pycache__", "proptest-regressions"];

impl SourceTree {
    /// Reads the repository that this program was built in.
    pub(crate) fn read() -> std::io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let mut files = Vec::new();
        walk(&root, &root, &mut files)?;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self { root, files })
    }

    /// The files whose name ends so.
    pub(crate) fn ending<'tree>(&'tree self, end: &'tree str) -> impl Iterator<Item = &'tree SourceFile> {
        self.files.iter().filter(move |file| file.path.ends_with(end))
    }

    /// The file at that path.
    pub(crate) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(root, &path, files)?;
        } else if kind.is_file() {
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            files.push(SourceFile { path: relative, text });
        }
    }
    Ok(())
}
