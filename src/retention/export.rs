//! Appends what leaves to CSV files, one for each table and day.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::storage::retention::{Line, MOVEMENT_COLUMNS, OUTCOME_COLUMNS, RESERVATION_COLUMNS, Step};

/// What is to be written of a step.
pub(super) struct Lines {
    day: String,
    tables: [(&'static str, &'static [&'static str], Vec<Line>); 3],
}

impl Lines {
    /// Takes the lines out of a step.
    pub(super) fn of(step: &mut Step) -> Self {
        Self {
            day: step.day.clone(),
            tables: [
                ("outcomes", OUTCOME_COLUMNS, std::mem::take(&mut step.outcomes)),
                ("reservations", RESERVATION_COLUMNS, std::mem::take(&mut step.reservations)),
                ("movements", MOVEMENT_COLUMNS, std::mem::take(&mut step.movements)),
            ],
        }
    }

    /// Appends them, and returns when they are on the disk. Blocks.
    pub(super) fn append(&self, directory: &Path) -> io::Result<()> {
        for (table, columns, lines) in &self.tables {
            if !lines.is_empty() {
                append(&directory.join(format!("{table}-{}.csv", self.day)), columns, lines)?;
            }
        }
        // So that a new file is found in its directory after a power cut.
        File::open(directory)?.sync_all()
    }
}

fn append(path: &Path, columns: &[&str], lines: &[Line]) -> io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let is_new = file.metadata()?.len() == 0;
    let mut csv = csv::Writer::from_writer(BufWriter::new(&file));
    if is_new {
        csv.write_record(columns)?;
    }
    for line in lines {
        csv.write_record(line.iter().map(|field| field.as_deref().unwrap_or_default()))?;
    }
    csv.flush()?;
    drop(csv);
    file.sync_all()
}

/// Tries whether files can be made there.
pub(super) fn try_directory(directory: &Path) -> io::Result<()> {
    let probe: PathBuf = directory.join(format!(".inventory-{}", std::process::id()));
    File::create(&probe)?.write_all(b"can be written to")?;
    std::fs::remove_file(probe)
}
