//! HAProxy in front of a host, on a port of the kernel's choice.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::tool;

/// A running HAProxy. It ends with the test.
pub struct Haproxy {
    child: Child,
    address: SocketAddr,
}

impl Haproxy {
    /// Starts one whose only frontend binds with these words (such as `ssl crt FILE`)
    /// and whose only server is `server`, with these (such as `send-proxy-v2`). Its
    /// configuration is a file in `directory`.
    pub fn start(directory: &Path, bind: &str, server: SocketAddr, with: &str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = socket.local_addr().expect("it is bound");
        let config = directory.join(format!("haproxy-{}.cfg", address.port()));
        let text = format!(
            "global\n    maxconn 50\n\
             defaults\n    mode tcp\n    timeout connect 10s\n    timeout client 60s\n    \
             timeout server 60s\n\
             frontend smtp\n    bind fd@0 {bind}\n    default_backend hosts\n\
             backend hosts\n    option smtpchk EHLO balancer.example\n    \
             server host {server} {with}\n"
        );
        fs::write(&config, text).expect("the test's directory can be written");
        Self {
            child: run(&config, socket),
            address,
        }
    }

    /// Where clients connect. They may at once: the socket listens already.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The socket is its standard input: nobody else can take the port meanwhile.
fn run(config: &Path, socket: TcpListener) -> Child {
    tool::require("haproxy");
    Command::new("haproxy")
        .args(["-db", "-f"])
        .arg(config)
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("haproxy is there")
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // It may be over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
