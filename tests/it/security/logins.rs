//! What `inventory provision` gives, and how those log in who were given it.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::books::json_of;
use crate::support::harness::file;
use crate::support::process::{run, run_ok};
use crate::support::servers::PrivateServers;
use crate::support::site::Site;

/// Users and roles, and their passwords.
pub struct Logins<'a> {
    servers: &'a PrivateServers,
    site_url: String,
    /// By the variables that they are given in.
    passwords: BTreeMap<String, String>,
}

/// A team that sends, and one that reads events.
const TEAMS: [&str; 4] = ["--sender", "checkout", "--subscriber", "billing"];

impl<'a> Logins<'a> {
    /// Provides everything, first by the script and then once more.
    pub async fn provide(servers: &'a PrivateServers, site: &Site) -> Self {
        let (script, passwords) = printed(servers, site).await;
        for password in passwords.values() {
            assert!(!script.contains(password), "a password is in the script");
        }
        run_script(&script, site).await;
        half_of_it_is_told(servers, site).await;
        let mut logins = Self { servers, site_url: site.database.url.clone(), passwords };

        // What is there already stays as it is, but for the password that is given.
        let renewed = "correct-horse:battery/staple@%";
        let mut again = provision(servers, site, &["--apply", "--json"]);
        again.env("INVENTORY_APP_PASSWORD", renewed);
        let told = json_of(&run_ok(again).await);
        assert_eq!(told["new"], serde_json::json!([]), "{told}");
        logins.passwords.insert("INVENTORY_APP_PASSWORD".to_owned(), renewed.to_owned());
        logins
    }

    /// All passwords, which must not be seen anywhere.
    pub fn passwords(&self) -> impl Iterator<Item = &String> {
        self.passwords.values()
    }

    /// The database for a role: over TLS, with a certificate.
    pub fn database_url(&self, role: &str) -> String {
        let [ca, certificate, key] =
            ["ca.pem", "client.pem", "client.key"].map(|name| self.servers.certificate(name));
        let tls = format!("sslmode=verify-full&sslrootcert={ca}&sslcert={certificate}&sslkey={key}");
        format!("{}?{tls}", self.of(&self.site_url, role))
    }

    /// The broker for a user, over TLS: the certificates are settings of their own.
    pub fn amqps_url(&self, user: &str) -> String {
        self.of(&self.servers.url("AMQPS_URL"), user)
    }

    /// The broker for a user, for a test's own client.
    pub fn amqp_url(&self, user: &str) -> String {
        self.of(&self.servers.url("AMQP_URL"), user)
    }

    fn of(&self, url: &str, user: &str) -> String {
        let password = &self.passwords[&format!("{}_PASSWORD", user.to_uppercase().replace('-', "_"))];
        let password =
            password.replace('%', "%25").replace(':', "%3A").replace('/', "%2F").replace('@', "%40");
        let (scheme, rest) = url.split_once("://").unwrap();
        format!("{scheme}://{user}:{password}@{}", rest.rsplit_once('@').unwrap().1)
    }
}

fn provision(servers: &PrivateServers, site: &Site, arguments: &[&str]) -> Command {
    let ctl = servers.rabbitmqctl_command();
    site.command(&[&["provision", "--rabbitmqctl", &ctl], &TEAMS[..], arguments].concat())
}

/// Who is made before it fails has a password that nobody will tell again.
async fn half_of_it_is_told(servers: &PrivateServers, site: &Site) {
    let from_the_future = "
        INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'not known', true, '', 0)";
    site.database.execute(from_the_future).await;
    let ended = run(provision(servers, site, &["--apply", "--name", "half"])).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for role in ["OWNER", "APP", "OPERATOR"] {
        assert!(ended.stdout.contains(&format!("HALF_{role}_PASSWORD=")), "{ended:?}");
    }
    site.database.execute("DELETE FROM _sqlx_migrations WHERE version = 9999").await;
}

async fn printed(servers: &PrivateServers, site: &Site) -> (String, BTreeMap<String, String>) {
    let ended = run(provision(servers, site, &["--print"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.stderr.lines().map(|line| line.split_once('=').expect("NAME=PASSWORD"));
    let passwords = lines.map(|(name, password)| (name.to_owned(), password.to_owned())).collect();
    (ended.stdout, passwords)
}

/// As an administrator does, who has `inventory` and `psql` on the path.
async fn run_script(script: &str, site: &Site) {
    let path = file("provision.sh", script);
    let (programs, _) = env!("CARGO_BIN_EXE_inventory").rsplit_once('/').unwrap();
    let mut command = Command::new("sh");
    command.arg(&path).envs(site.settings.clone());
    command.env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()));
    run_ok(command).await;
    std::fs::remove_file(path).unwrap();
}
