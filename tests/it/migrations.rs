//! The schema: from nothing, by several at once, too new, too old, and explained.

use crate::support::process::Ended;
use crate::support::site::Site;
use crate::support::{Setup, service::Service};

/// Another program has been here, of a later release.
const FROM_THE_FUTURE: &str =
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                               VALUES (9999, 'from the future', true, '\\x00', 0)";

fn assert_ok(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn from_empty_and_again() {
    let site = Site::shared().await;
    assert_ok(&site.inventory(&["migrate"]).await);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let before = site.database.number(tables).await;
    assert_ok(&site.inventory(&["migrate"]).await);
    assert_eq!(site.database.number(tables).await, before);
    assert_ok(&site.inventory(&["verify"]).await);
}

#[tokio::test]
async fn by_several_at_once() {
    let site = Site::shared().await;
    let migrate = || site.inventory(&["migrate"]);
    let (one, two, three) = tokio::join!(migrate(), migrate(), migrate());
    for ended in [one, two, three] {
        assert_ok(&ended);
    }
    let applied = site.database.number("SELECT count(*) FROM _sqlx_migrations").await;
    let distinct = site.database.number("SELECT count(DISTINCT version) FROM _sqlx_migrations").await;
    assert!(applied >= 1 && applied == distinct, "{applied} migrations, {distinct} different ones");
}

#[tokio::test]
async fn by_two_replicas_that_start_together() {
    let site = Site::shared().await;
    let (mut one, mut two) = tokio::join!(site.start_service(), site.start_service());
    tokio::join!(one.ready(), two.ready());
    one.stop().await;
    two.stop().await;
    assert!(!one.log().contains(" ERROR ") && !two.log().contains(" ERROR "));
}

async fn assert_serve_refuses(mut service: Service, words: &[&str]) {
    let status = service.exit().await;
    assert_eq!(status.code(), Some(2), "{}", service.log());
    for word in words {
        assert!(service.log().contains(word), "{word:?} is not in {}", service.log());
    }
}

#[tokio::test]
async fn a_database_newer_than_the_program_is_refused() {
    let site = Site::shared().await;
    assert_ok(&site.inventory(&["migrate"]).await);
    site.database.execute(FROM_THE_FUTURE).await;
    let product = uuid::Uuid::new_v4().to_string();
    for arguments in [&["migrate"][..], &["stock", "set", &product, "1"], &["verify"]] {
        let ended = site.inventory(arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains("newer") && ended.stderr.contains("9999"), "{ended:?}");
    }
    assert_serve_refuses(site.start_service().await, &["newer", "9999"]).await;
    let without_migrating = site.with("INVENTORY__DATABASE__MIGRATE", "false");
    assert_serve_refuses(without_migrating.start_service().await, &["newer", "9999"]).await;
}

#[tokio::test]
async fn without_migrate_an_old_database_is_refused() {
    let site = Site::shared().await.with("INVENTORY__DATABASE__MIGRATE", "false");
    assert_serve_refuses(site.start_service().await, &["inventory migrate"]).await;
    let product = uuid::Uuid::new_v4().to_string();
    let ended = site.inventory(&["stock", "set", &product, "1"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("inventory migrate"), "{ended:?}");

    assert_ok(&site.inventory(&["migrate"]).await);
    let mut service = site.start_service().await;
    service.ready().await;
    service.stop().await;
}

#[tokio::test]
async fn every_table_and_column_is_explained() {
    let harness = Setup::new().start().await;
    let mut connection = harness.site().database.connect().await;
    let unexplained: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws('.', class.relname, attribute.attname)
         FROM pg_class AS class
         LEFT JOIN pg_attribute AS attribute
             ON attribute.attrelid = class.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
         WHERE class.relnamespace = 'public'::regnamespace AND class.relkind IN ('r', 'p', 'v', 'm')
             AND class.relname <> '_sqlx_migrations'
             AND (obj_description(class.oid, 'pg_class') IS NULL
                  OR col_description(class.oid, attribute.attnum) IS NULL)",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(unexplained.is_empty(), "{unexplained:?}");
    drop(connection);
    harness.finish().await;
}
