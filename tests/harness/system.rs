//! A Daymark to test against: all roles in one process, or each in its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ask::Ask;
use crate::program::{Program, binary, free_address};

/// A process of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Every role in one process.
    Up,
    /// `daymark-agent`.
    Agent,
    /// `daymark collector`.
    Collector,
    /// `daymark query`.
    Query,
    /// `daymark alerts`.
    Alerts,
}

/// How to lay a system out.
#[derive(Clone, Debug, Default)]
pub struct SystemOptions {
    /// Each role a process of its own.
    pub apart: bool,
    /// Definitions folder; without one, there are no SLOs and dashboards.
    pub definitions: Option<PathBuf>,
    /// `--seal-interval-ms`; the program's default when absent.
    pub seal_interval_ms: Option<u64>,
    /// Environment of every process.
    pub env: Vec<(String, String)>,
    /// Use this data directory instead of a new one.
    pub data_dir: Option<PathBuf>,
    /// `--key-file`.
    pub key_file: Option<PathBuf>,
    /// Further arguments of the process that stores: `up`, or the collector.
    pub arguments: Vec<String>,
}

/// The running processes and their addresses, which stay the same over restarts.
pub struct System {
    /// Options it was started with.
    pub options: SystemOptions,
    dir: TempDir,
    programs: Vec<(Role, Program)>,
    otlp_grpc: SocketAddr,
    otlp_http: SocketAddr,
    collector_grpc: SocketAddr,
    collector_http: SocketAddr,
    alerts_http: SocketAddr,
    http: SocketAddr,
}

impl System {
    /// Starts all processes and waits until the query service is ready.
    pub fn start(options: SystemOptions) -> System {
        let mut system = System {
            options,
            dir: tempfile::tempdir().unwrap(),
            programs: Vec::new(),
            otlp_grpc: free_address(),
            otlp_http: free_address(),
            collector_grpc: free_address(),
            collector_http: free_address(),
            alerts_http: free_address(),
            http: free_address(),
        };
        for role in system.roles() {
            system.start_role(role);
        }
        system
    }

    fn roles(&self) -> Vec<Role> {
        match (self.options.apart, self.options.definitions.is_some()) {
            (false, _) => vec![Role::Up],
            (true, true) => vec![Role::Collector, Role::Agent, Role::Query, Role::Alerts],
            (true, false) => vec![Role::Collector, Role::Agent, Role::Query],
        }
    }

    /// Starts one role and waits until it is ready.
    pub fn start_role(&mut self, role: Role) {
        let mut program = self.launched(role);
        let ready = match role {
            Role::Up | Role::Query => self.http,
            Role::Agent => self.otlp_http,
            Role::Collector => self.collector_http,
            Role::Alerts => self.alerts_http,
        };
        wait_until_ready(&mut program, ready);
        self.programs.push((role, program));
    }

    /// Starts one role and does not wait.
    pub fn launch_role(&mut self, role: Role) {
        let program = self.launched(role);
        self.programs.push((role, program));
    }

    fn launched(&self, role: Role) -> Program {
        let log = self.dir.path().join(format!("{role:?}.log").to_lowercase());
        Program::start(&format!("{role:?}"), self.command(role), log)
    }

    fn command(&self, role: Role) -> Command {
        let mut command = Command::new(binary(if role == Role::Agent { "daymark-agent" } else { "daymark" }));
        command.envs(self.options.env.iter().cloned());
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
        let subcommand = match role {
            Role::Up => {
                add("otlp-grpc", self.otlp_grpc.to_string());
                add("otlp-http", self.otlp_http.to_string());
                add("http", self.http.to_string());
                Some("up")
            }
            Role::Agent => {
                add("otlp-grpc", self.otlp_grpc.to_string());
                add("otlp-http", self.otlp_http.to_string());
                add("collector", format!("http://{}", self.collector_http));
                None
            }
            Role::Collector => {
                add("otlp-grpc", self.collector_grpc.to_string());
                add("otlp-http", self.collector_http.to_string());
                Some("collector")
            }
            Role::Query => {
                add("http", self.http.to_string());
                add("collector", format!("http://{}", self.collector_http));
                add("collector-otlp", format!("http://{}", self.collector_grpc));
                add("alerts", format!("http://{}", self.alerts_http));
                Some("query")
            }
            Role::Alerts => {
                add("http", self.alerts_http.to_string());
                add("collector", format!("http://{}", self.collector_http));
                add("collector-otlp", format!("http://{}", self.collector_grpc));
                add("external-url", format!("http://{}", self.http));
                Some("alerts")
            }
        };
        add("data-dir", self.data_dir().display().to_string());
        if let Some(file) = &self.options.key_file {
            add("key-file", file.display().to_string());
        }
        if let (Some(dir), Role::Up | Role::Query | Role::Alerts) = (&self.options.definitions, role) {
            add("definitions", dir.display().to_string());
        }
        if let (Some(ms), Role::Up | Role::Collector) = (self.options.seal_interval_ms, role) {
            add("seal-interval-ms", ms.to_string());
        }
        if matches!(role, Role::Up | Role::Collector) {
            arguments.extend(self.options.arguments.iter().cloned());
        }
        command.args(subcommand).args(arguments);
        command
    }

    /// SIGKILL for `role`.
    pub fn kill(&mut self, role: Role) {
        self.take(role).kill();
    }

    /// SIGTERM for `role`, which must end cleanly.
    pub fn stop_role(&mut self, role: Role) {
        self.take(role).stop();
    }

    /// Waits until `role` ends by itself: its exit code and what it has printed.
    pub fn exit_of(&mut self, role: Role, limit: Duration) -> (Option<i32>, String) {
        self.take(role).ended(limit)
    }

    /// Waits until `role` ends by itself: see [`Program::signal`].
    pub fn signal_of(&mut self, role: Role, limit: Duration) -> Option<(Option<i32>, String)> {
        self.take(role).signal(limit)
    }

    /// SIGTERM for all; each must end cleanly.
    pub fn stop(mut self) {
        for (_, program) in std::mem::take(&mut self.programs) {
            program.stop();
        }
    }

    fn take(&mut self, role: Role) -> Program {
        let at =
            self.programs.iter().position(|(r, _)| *r == role).unwrap_or_else(|| panic!("{role:?} is not running"));
        self.programs.remove(at).1
    }

    /// Process id of `role`.
    pub fn pid(&self, role: Role) -> u32 {
        self.programs.iter().find(|(r, _)| *r == role).map(|(_, program)| program.pid()).unwrap()
    }

    /// Whether all processes still run.
    pub fn all_alive(&mut self) -> bool {
        self.programs.iter_mut().all(|(_, program)| program.is_alive())
    }

    /// What `role` has printed.
    pub fn output(&self, role: Role) -> String {
        self.programs.iter().find(|(r, _)| *r == role).map(|(_, program)| program.output()).unwrap_or_default()
    }

    /// Where data lives.
    pub fn data_dir(&self) -> PathBuf {
        self.options.data_dir.clone().unwrap_or_else(|| self.dir.path().join("data"))
    }

    /// OTLP/HTTP base URL of the agent.
    pub fn otlp_http(&self) -> String {
        format!("http://{}", self.otlp_http)
    }

    /// OTLP/gRPC address of the agent.
    pub fn otlp_grpc(&self) -> SocketAddr {
        self.otlp_grpc
    }

    /// OTLP/HTTP base URL of a collector that runs apart.
    pub fn collector_http(&self) -> String {
        format!("http://{}", self.collector_http)
    }

    /// Base URL of UI and API.
    pub fn http(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Asks this system as a user would.
    pub fn ask(&self) -> Ask {
        Ask::new(self.http())
    }
}

fn wait_until_ready(program: &mut Program, address: SocketAddr) {
    let started = Instant::now();
    let ready = readiness(address);
    while !ready() {
        assert!(program.is_alive(), "the process ended at start:\n{}", program.output());
        assert!(started.elapsed() < Duration::from_secs(60), "not ready after 60 s:\n{}", program.output());
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// `GET /readyz` by hand, because the harness has no asynchronous runtime of its own at this point.
fn readiness(address: SocketAddr) -> impl Fn() -> bool {
    use std::io::{Read, Write};
    move || {
        let Ok(mut stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500)) else {
            return false;
        };
        let limit = Some(Duration::from_secs(2));
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        stream.set_read_timeout(limit).is_ok()
            && stream.write_all(request.as_bytes()).is_ok()
            && stream.read_to_end(&mut answer).is_ok()
            && answer.starts_with(b"HTTP/1.1 200")
    }
}
