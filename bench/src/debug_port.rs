//! The daemon's debugging port: accepts the connections of one process, one for each provider that it registers. It sends no
//! response, as the daemon does for a registration that it accepts, and checks no key.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::driver::Plugin;

/// A process that serves several providers. It ends with this value.
pub struct Process(Child);

impl Process {
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `command` with the address of the port behind it, and waits for the connections of these providers, in this order.
pub fn start(command: &[String], providers: &[String]) -> (Process, Vec<Plugin>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let started = Instant::now();
    let child = Command::new(&command[0])
        .args(&command[1..])
        .args(["--url", &address, "--key", "6f0c3a0e-0000-4000-8000-000000000000", "--clear-text"])
        .env_remove("INSTALL_METHOD")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process(child);
    let mut connected: Vec<(Plugin, String)> = providers
        .iter()
        .map(|_| {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            Plugin::connected(stream, process.id(), started)
        })
        .collect();
    let plugins = providers.iter().map(|provider| {
        let named = format!("\"provider\":\"{provider}\"");
        let found = connected.iter().position(|(_, registration)| registration.contains(&named));
        connected.swap_remove(found.unwrap_or_else(|| panic!("{provider} was not registered"))).0
    });
    let plugins = plugins.collect();
    (process, plugins)
}
