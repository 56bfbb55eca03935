//! Puts stock on the shelves, with the service's own command line.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot write the stock to {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: csv::Error,
    },
    #[error(
        "cannot run `{}`; build it (cargo build), or say with --inventory-bin where it is",
        binary.display()
    )]
    Run {
        binary: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "`{} stock import` failed ({status}); it needs DATABASE_URL, and a database that `inventory serve` \
         or `inventory migrate` has brought up to date",
        binary.display()
    )]
    Failed { binary: PathBuf, status: ExitStatus },
}

/// Sets the stock of every product to so many units on hand.
pub fn import(
    products: impl Iterator<Item = Uuid>,
    units: u64,
    binary: &Path,
    file: &Path,
) -> Result<(), ImportError> {
    let imported = write(products, units, file)
        .map_err(|source| ImportError::Write { path: file.to_owned(), source })
        .and_then(|()| run(binary, file));
    // A file left behind among the temporary ones is no reason to fail.
    let _ = std::fs::remove_file(file);
    imported
}

fn write(products: impl Iterator<Item = Uuid>, units: u64, file: &Path) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_path(file)?;
    writer.write_record(["product_id", "quantity"])?;
    for product in products {
        writer.write_record([product.to_string(), units.to_string()])?;
    }
    writer.flush()?;
    Ok(())
}

fn run(binary: &Path, file: &Path) -> Result<(), ImportError> {
    let status = Command::new(binary)
        .args(["stock", "import"])
        .arg(file)
        .status()
        .map_err(|source| ImportError::Run { binary: binary.to_owned(), source })?;
    if status.success() {
        return Ok(());
    }
    Err(ImportError::Failed { binary: binary.to_owned(), status })
}

/// Cargo puts `inventory` one folder above its examples; otherwise it is looked for on the PATH.
pub fn default_binary() -> PathBuf {
    let name = format!("inventory{}", env::consts::EXE_SUFFIX);
    env::current_exe()
        .ok()
        .and_then(|example| Some(example.parent()?.parent()?.join(&name)))
        .filter(|binary| binary.is_file())
        .unwrap_or_else(|| name.into())
}
