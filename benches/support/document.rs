//! Results on disk: `target/bench/NAME.json`, and the marked sections of `docs/BENCHMARKS.md`.
//!
//! A section lies between `<!-- begin:NAME -->` and `<!-- end:NAME -->`; only a run with `--write`
//! replaces what is between, so that every figure in the document was printed by a program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

/// Saves `results` as JSON for whoever wants to compute with them, and says where.
pub(crate) fn save(name: &str, results: &impl Serialize) -> Result<PathBuf> {
    let folder = root().join("target/bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.json"));
    fs::write(&path, serde_json::to_vec_pretty(results)?)?;
    Ok(path)
}

/// Replaces the section `name` of `docs/BENCHMARKS.md`.
pub(crate) fn write_section(name: &str, text: &str) -> Result<()> {
    write_section_of("docs/BENCHMARKS.md", name, text)
}

/// Replaces the section `name` of a document of the project.
pub(crate) fn write_section_of(document: &str, name: &str, text: &str) -> Result<()> {
    let path = root().join(document);
    let document = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let replaced = replace_section(&document, name, text)
        .with_context(|| format!("{} has no section {name}", path.display()))?;
    Ok(fs::write(path, replaced)?)
}

/// Puts a plot beside the document.
pub(crate) fn write_plot(name: &str, svg: &str) -> Result<()> {
    Ok(fs::write(root().join(format!("docs/{name}.svg")), svg)?)
}

fn replace_section(document: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- begin:{name} -->\n");
    let end = format!("<!-- end:{name} -->");
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
