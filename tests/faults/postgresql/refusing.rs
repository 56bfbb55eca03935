//! PostgreSQL is there and does not take anything: read-only while it fails over, out of connections, out of disk. All of
//! it is waited for like a server that is away.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::{ONE_DELIVERY, TRIED_AGAIN, setup};
use crate::support::deployment::Deployment;
use crate::support::load::assert_one_outcome_each;
use crate::support::names::Names;
use crate::support::outage::{CARTS, light_load, outcomes, ready_again, until_missing};
use crate::support::servers::{PrivateServers, Server};
use crate::support::site::Site;
use crate::support::{Harness, eventually};

/// How a trouble begins, how `/readyz` names it, and how it ends.
struct Trouble<'a> {
    begin: &'a [&'a str],
    name: &'a str,
    end: &'a [&'a str],
}

/// The sessions of the service find what is true now only when they are made anew.
const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                            WHERE datname = current_database() AND application_name = 'inventory-service'";

async fn run(connection: &mut PgConnection, statements: &[&'static str]) {
    for sql in statements {
        sqlx::raw_sql(*sql).execute(&mut *connection).await.unwrap();
    }
}

impl Trouble<'static> {
    /// It comes in the middle of light load, and goes when all has been sent.
    async fn wait_out(self, mut harness: Harness) {
        let product = harness.product(1000).await;
        let mut administrator = harness.site().database.connect().await;
        let mut load = light_load(harness.site(), product);
        load.confirmed(CARTS / 3).await;
        run(&mut administrator, self.begin).await;
        load.confirmed(CARTS).await;
        let service = &harness.services()[0];
        until_missing(service, "PostgreSQL").await;
        until_missing(service, self.name).await;
        let decided = decided(&mut administrator).await;
        let tried = service.metric(TRIED_AGAIN).await;
        eventually("more attempts", async || service.metric(TRIED_AGAIN).await >= tried + 2).await;
        assert_eq!(self::decided(&mut administrator).await, decided);
        assert!(decided < i64::try_from(CARTS).unwrap());

        run(&mut administrator, self.end).await;
        ready_again(service).await;
        let carts = load.end().await;
        let mut events = outcomes(&mut harness, product, &carts).await;
        events.extend(harness.finish_after_an_outage().await);
        assert_one_outcome_each(&events, &carts);
    }
}

async fn decided(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM command_outcome").fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn a_read_only_database_is_waited_for() {
    let trouble = Trouble {
        begin: &[
            "DO 'BEGIN EXECUTE format(''ALTER DATABASE %I SET default_transaction_read_only = on'', current_database()); END'",
            END_SESSIONS,
        ],
        name: "read-only",
        end: &[
            "DO 'BEGIN EXECUTE format(''ALTER DATABASE %I RESET default_transaction_read_only'', current_database()); END'",
        ],
    };
    Box::pin(trouble.wait_out(setup().start().await)).await;
}

#[tokio::test]
async fn connections_that_are_used_up_are_waited_for() {
    let trouble = Trouble {
        begin: &[
            "DO 'BEGIN EXECUTE format(''ALTER DATABASE %I CONNECTION LIMIT 0'', current_database()); END'",
            END_SESSIONS,
        ],
        name: "too many connections",
        end: &[
            "DO 'BEGIN EXECUTE format(''ALTER DATABASE %I CONNECTION LIMIT -1'', current_database()); END'",
        ],
    };
    Box::pin(trouble.wait_out(setup().start().await)).await;
}

#[tokio::test]
async fn a_disk_that_is_full_is_waited_for() {
    let trouble = Trouble {
        begin: &["CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS '
                      BEGIN RAISE EXCEPTION ''could not extend file'' USING ERRCODE = ''disk_full''; END';
                  CREATE TRIGGER full_disk BEFORE INSERT ON command_outcome EXECUTE FUNCTION full_disk()"],
        name: "could not extend file",
        end: &["DROP TRIGGER full_disk ON command_outcome"],
    };
    Box::pin(trouble.wait_out(setup().start().await)).await;
}

/// A disk of a few megabytes; gone with the test.
struct TinyDisk {
    folder: PathBuf,
}

impl TinyDisk {
    /// For the account that PostgreSQL runs as; nothing where this account may not make one.
    fn mount(uid: u32) -> Option<Self> {
        let disk = Self { folder: std::env::temp_dir().join(format!("inventory-{}", Uuid::new_v4())) };
        std::fs::create_dir(&disk.folder).unwrap();
        let options = format!("size=4m,mode=0700,uid={uid}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&disk.folder);
        mount.output().is_ok_and(|output| output.status.success()).then_some(disk)
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        // Where it was never mounted there is nothing to take away but the folder.
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).output();
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// Takes all that is left of it; what is in a file stays taken when the transaction is undone.
const FILL: &str = "DO 'BEGIN
                        LOOP INSERT INTO ballast VALUES (repeat(''x'', 1900));
                        END LOOP;
                    EXCEPTION WHEN disk_full THEN NULL; END'";

#[tokio::test]
async fn a_disk_that_really_is_full_is_waited_for() {
    let servers = PrivateServers::new("faults-full-disk");
    servers.start(Server::PostgreSql).await;
    let mut administrator = PgConnection::connect(&servers.url("ADMIN_DATABASE_URL")).await.unwrap();
    let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut administrator).await.unwrap();
    let Some(disk) = TinyDisk::mount(std::fs::metadata(data).unwrap().uid()) else {
        eprintln!("skipped: this account may not mount a disk");
        return;
    };
    let location = disk.folder.display();
    let sql = format!("CREATE TABLESPACE tiny OWNER inventory LOCATION '{location}'");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut administrator).await.unwrap();
    let site = Site::create(servers.with_shared_other(Server::PostgreSql), Names::unique()).await;
    let site = site.with(ONE_DELIVERY.0, ONE_DELIVERY.1);
    let harness = Harness::of(Deployment::start(site, 1).await).await;
    let trouble = Trouble {
        begin: &[
            "CREATE TABLE ballast (filling text) WITH (autovacuum_enabled = off) TABLESPACE tiny",
            "ALTER TABLE command_outcome SET TABLESPACE tiny",
            FILL,
        ],
        name: "No space left on device",
        end: &["DROP TABLE ballast"],
    };
    Box::pin(trouble.wait_out(harness)).await;
    drop(servers);
}
