//! What a run found out, for people and for programs.

mod plots;
mod sections;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::failure::Failure;
use crate::figures::Figure;
use crate::machine::Machine;
use crate::scenario::Findings;

use table::Table;

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// Whether the figures are worth nothing.
    pub is_quick: bool,
    /// The figures that have a target.
    pub figures: Vec<Figure>,
    /// What they follow from.
    #[serde(flatten)]
    pub findings: Findings,
}

/// A part of the report.
struct Section {
    title: &'static str,
    /// What one has to know to read it.
    note: String,
    table: Table,
}

impl Report {
    /// As it is printed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for Section { title, table, .. } in sections::of(self) {
            let _ = writeln!(text, "\n{title}\n\n{}", table.to_text());
        }
        text
    }

    /// Writes report.md, results.json and the plots into a folder.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let save = |name: &str, content: String| {
            let path = folder.join(name);
            fs::write(&path, content).map_err(Failure::file(&path))
        };
        let plots = plots::of(&self.findings)?;
        save("results.json", serde_json::to_string_pretty(self)?)?;
        save("report.md", self.to_markdown(plots.iter().map(|plot| plot.name)))?;
        plots.into_iter().try_for_each(|plot| save(&format!("{}.svg", plot.name), plot.svg))
    }

    fn to_markdown<'a>(&self, plots: impl Iterator<Item = &'a str>) -> String {
        let mut markdown = format!("# Benchmark\n\n{}\n", self.machine);
        if self.is_quick {
            markdown += "\n**A quick run: it shows that all works. Its figures are worth nothing.**\n";
        }
        for Section { title, note, table } in sections::of(self) {
            let _ = writeln!(markdown, "\n## {title}\n\n{note}\n\n{}", table.to_markdown());
        }
        let plots: Vec<String> = plots.map(|name| format!("![{name}]({name}.svg)")).collect();
        if !plots.is_empty() {
            let _ = writeln!(markdown, "\n## Plots\n\n{}", plots.join("\n\n"));
        }
        markdown
    }
}

/// Where the report goes: beside what cargo builds.
pub fn folder(target: &Path) -> Result<PathBuf, Failure> {
    let folder = target.join("bench");
    fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    Ok(folder)
}
