//! Where PostgreSQL and RabbitMQ are: the servers that all tests share, or private ones to be stopped and started.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::run_ok;

/// A PostgreSQL and a RabbitMQ.
#[derive(Debug, Clone)]
pub struct Servers {
    pub database_url: String,
    pub amqp_url: String,
}

impl Servers {
    /// Those of `scripts/test`.
    pub fn shared() -> Self {
        let url =
            |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/test"));
        Self { database_url: url("DATABASE_URL"), amqp_url: url("AMQP_URL") }
    }

    /// The passwords, which must not be seen anywhere.
    pub fn passwords(&self) -> Vec<String> {
        let password = |url: &str| {
            let (login, _) = url.split_once("://")?.1.rsplit_once('@')?;
            Some(login.split_once(':')?.1.to_owned())
        };
        [&self.database_url, &self.amqp_url].into_iter().filter_map(|url| password(url)).collect()
    }
}

/// One of the two.
#[derive(Debug, Clone, Copy)]
pub enum Server {
    PostgreSql,
    RabbitMq,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::PostgreSql => "postgres",
            Self::RabbitMq => "rabbitmq",
        }
    }
}

/// Servers of one test alone; gone with it.
#[derive(Debug)]
pub struct PrivateServers {
    folder: PathBuf,
}

impl PrivateServers {
    /// None runs yet.
    pub fn new(name: &str) -> Self {
        let parent = std::env::var_os("TEST_SERVERS")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers"), PathBuf::from);
        Self { folder: parent.join(format!("{name}-{}", std::process::id())) }
    }

    /// Starts one, always at the same address; returns once it answers.
    pub async fn start(&self, server: Server) {
        let mut command = Self::script("start");
        command.arg("--fast").arg(&self.folder).arg(server.name());
        run_ok(command).await;
    }

    /// Starts RabbitMQ as a node of the cluster of another one, which runs.
    pub async fn start_joined(&self, other: &Self) {
        let mut command = Self::script("start");
        command.arg("--join").arg(&other.folder).arg(&self.folder).arg(Server::RabbitMq.name());
        run_ok(command).await;
    }

    /// Starts both so that they also speak TLS, and demand a certificate of the client.
    pub async fn start_with_tls(&self) {
        let mut command = Self::script("start");
        command.args(["--fast", "--tls"]).arg(&self.folder);
        run_ok(command).await;
    }

    /// Both, as those administer them who may do everything.
    pub fn for_administrators(&self) -> Servers {
        Servers { database_url: self.url("ADMIN_DATABASE_URL"), amqp_url: self.url("AMQP_URL") }
    }

    /// A certificate or a key, such as `ca.pem`.
    pub fn certificate(&self, name: &str) -> String {
        self.folder.join("tls").join(name).to_str().unwrap().to_owned()
    }

    /// `rabbitmqctl` for this RabbitMQ, as a shell has it.
    pub fn rabbitmqctl_command(&self) -> String {
        format!("{}/scripts/servers ctl {}", env!("CARGO_MANIFEST_DIR"), self.folder.display())
    }

    /// Starts both at once.
    pub async fn start_all(&self) -> Servers {
        let mut command = Self::script("start");
        command.arg("--fast").arg(&self.folder);
        run_ok(command).await;
        Servers { database_url: self.url("DATABASE_URL"), amqp_url: self.url("AMQP_URL") }
    }

    /// Stops one cleanly.
    pub async fn stop(&self, server: Server) {
        self.run("stop", server).await;
    }

    /// Ends all of its processes with SIGKILL, as a power cut would. The data stay.
    pub async fn kill(&self, server: Server) {
        self.run("kill", server).await;
    }

    /// Lets all of its processes stand still (SIGSTOP): its connections stay, and nothing answers.
    pub async fn pause(&self, server: Server) {
        self.run("pause", server).await;
    }

    /// Lets it go on (SIGCONT).
    pub async fn resume(&self, server: Server) {
        self.run("resume", server).await;
    }

    /// Runs `rabbitmqctl` for its RabbitMQ; gives what it says.
    pub async fn rabbitmqctl(&self, arguments: &[&str]) -> String {
        let mut command = Self::script("ctl");
        command.arg(&self.folder).args(arguments);
        run_ok(command).await
    }

    /// Has RabbitMQ write down which queues it has, so that it knows them after a kill. By itself it does so only some time
    /// after they were declared; killed before, it has forgotten them, or finds no leader for them ever again
    /// (<https://github.com/rabbitmq/rabbitmq-server/issues/10070>).
    pub async fn remember_queues(&self) {
        let write = "lists:foreach(fun dets:sync/1, dets:all()), mnesia:sync_log().";
        assert_eq!(self.rabbitmqctl(&["eval", write]).await.trim(), "ok");
    }

    /// Whether nothing is left in these queues, nor in the hands of those who consume them.
    pub async fn have_settled(&self, queues: &[&str]) -> bool {
        let told = self.rabbitmqctl(&["-q", "list_queues", "name", "messages"]).await;
        queues.iter().all(|queue| told.lines().any(|line| line == format!("{queue}\t0")))
    }

    async fn run(&self, action: &str, server: Server) {
        let mut command = Self::script(action);
        command.arg(&self.folder).arg(server.name());
        run_ok(command).await;
    }

    /// The address of one, which has been started at least once; the other is a shared one.
    pub fn with_shared_other(&self, server: Server) -> Servers {
        let shared = Servers::shared();
        match server {
            Server::PostgreSql => Servers { database_url: self.url("DATABASE_URL"), ..shared },
            Server::RabbitMq => Servers { amqp_url: self.url("AMQP_URL"), ..shared },
        }
    }

    /// An address, as `scripts/servers` calls it.
    pub fn url(&self, name: &str) -> String {
        let file = self.folder.join("env");
        let settings = std::fs::read_to_string(&file).expect("written by scripts/servers start");
        let prefix = format!("export {name}=");
        let value = settings.lines().find_map(|line| line.strip_prefix(&prefix));
        value.unwrap_or_else(|| panic!("no {name} in {}", file.display())).trim_matches('\'').to_owned()
    }

    fn script(action: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/servers"));
        command.arg(action);
        command
    }
}

impl Drop for PrivateServers {
    fn drop(&mut self) {
        let ended = Self::script("destroy").arg(&self.folder).output();
        if let Ok(output) = ended
            && !output.status.success()
        {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
