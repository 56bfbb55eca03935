//! The example clients really run, against a service with the names of the contract.

use std::path::{Path, PathBuf};
use std::process::Command;

use uuid::Uuid;

use crate::support::process::{Ended, run, run_ok};
use crate::support::servers::{PrivateServers, Server};
use crate::support::{Harness, Setup};

fn example(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clients").join(language)
}

/// Where what a client needs is installed; it stays there for the next time.
fn workplace(language: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(language);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// What a program prints when it is asked for its version; nothing where there is no such program.
fn version_of(program: &str) -> Option<String> {
    let output =
        Command::new(program).arg("--version").output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Python with what the example needs; nothing where there is no Python.
async fn python() -> Option<PathBuf> {
    version_of("python3")?;
    let environment = workplace("python").join("venv");
    let python = environment.join("bin/python");
    if !python.exists() {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&environment);
        if run(venv).await.code != Some(0) {
            return None;
        }
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    pip.arg(example("python").join("requirements.txt"));
    run_ok(pip).await;
    Some(python)
}

/// A copy of the TypeScript example with what it needs; nothing where there is no Node that can run it.
async fn typescript() -> Option<PathBuf> {
    let version = version_of("node")?;
    let major: u32 = version.trim_start_matches('v').split('.').next()?.parse().ok()?;
    version_of("npm").filter(|_| major >= 20)?;
    let folder = workplace("typescript");
    for file in ["package.json", "checkout.ts"] {
        std::fs::copy(example("typescript").join(file), folder.join(file)).unwrap();
    }
    run_ok(npm(&folder, &["install", "--no-audit", "--no-fund", "--prefer-offline"])).await;
    Some(folder)
}

fn npm(folder: &Path, arguments: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(arguments);
    npm
}

/// The Rust example, which `cargo test` builds along with the tests. A cargo called from here would build the
/// dependencies anew: some go by variables that cargo sets for tests.
fn quickstart(product: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join("examples/quickstart");
    assert!(program.exists(), "{} is missing: cargo build --example quickstart", program.display());
    let mut quickstart = Command::new(program);
    quickstart.arg(product);
    quickstart
}

/// Runs a client for a product that is in stock, for one that is not, and for one that nobody knows.
async fn assert_client(harness: &mut Harness, name: &str, client: impl Fn(&str) -> Command) {
    let [some, none] = harness.products([3, 0]).await;
    let on_broker = async |product: Uuid| -> Ended {
        let mut command = client(&product.to_string());
        command.env("AMQP_URL", &harness.site().servers.amqp_url);
        run(command).await
    };
    let ended = on_broker(some).await;
    assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
    for word in ["available", "reservedAt", "RELEASED"] {
        assert!(ended.stdout.contains(word), "{name}: {word} is not in {ended:?}");
    }
    let ended = on_broker(none).await;
    assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
    assert!(ended.stdout.contains("unavailableItems"), "{name}: {ended:?}");
    let ended = on_broker(Uuid::new_v4()).await;
    assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
    assert!(ended.stderr.contains("PRODUCT_NOT_FOUND"), "{name}: {ended:?}");

    harness.client.events.take(2, "the events of the client's carts").await;
    harness.assert_level(some, 3, 0).await;
}

#[tokio::test]
async fn the_examples_run() {
    let servers = PrivateServers::new("clients");
    let ((), python, typescript) = tokio::join!(servers.start(Server::RabbitMq), python(), typescript());
    let setup = Setup::with_default_names_on(servers.with_shared_other(Server::RabbitMq));
    let mut harness = setup.start().await;
    assert_client(&mut harness, "Rust", quickstart).await;
    match python {
        Some(python) => {
            let script = example("python").join("checkout.py");
            assert_client(&mut harness, "Python", |product| {
                let mut command = Command::new(&python);
                command.arg(&script).arg(product);
                command
            })
            .await;
        }
        None => eprintln!("SKIPPED: the Python example, because there is no python3 with venv and pip"),
    }
    match typescript {
        Some(folder) => {
            run_ok(npm(&folder, &["run", "--silent", "check"])).await;
            assert_client(&mut harness, "TypeScript", |product| {
                npm(&folder, &["start", "--silent", "--", product])
            })
            .await;
        }
        None => eprintln!("SKIPPED: the TypeScript example, because there is no Node 20 or newer with npm"),
    }
    harness.finish().await;
}
