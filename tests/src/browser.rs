//! A browser without a window: what a page is when it is shown, and on paper.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::{self, JoinHandle};

use crate::tool;

/// What became of a page.
#[derive(Debug)]
pub struct Shown {
    /// The document as it was when it was loaded.
    pub dom: String,
    /// What it said on the console.
    pub console: Vec<String>,
    /// What was asked for over the network, but for what the browser asks for itself.
    pub requests: Vec<String>,
}

/// Loads a page.
pub fn show(page: &Path) -> Shown {
    let proxy = Proxy::start();
    let ran = run(page, &proxy, &["--dump-dom", "--enable-logging=stderr"]);
    let console = ran.stderr.lines().filter(|line| line.contains(":CONSOLE"));
    Shown {
        console: console.map(str::to_owned).collect(),
        dom: ran.stdout,
        requests: proxy.stop(),
    }
}

/// Makes a picture of it, PNG, so many pixels wide and high.
pub fn picture(page: &Path, to: &Path, width: u32, height: u32, dark: bool) {
    let proxy = Proxy::start();
    // Blink's own word for it: dark is 0, light is 1.
    let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
    let (size, to) = (format!("--window-size={width},{height}"), to.display());
    run(
        page,
        &proxy,
        &[
            &scheme,
            &size,
            "--hide-scrollbars",
            &format!("--screenshot={to}"),
        ],
    );
    proxy.stop();
}

/// Prints it into a file, PDF; how many pages that are.
pub fn print(page: &Path, to: &Path) -> usize {
    let proxy = Proxy::start();
    let file = format!("--print-to-pdf={}", to.display());
    run(page, &proxy, &["--no-pdf-header-footer", &file]);
    proxy.stop();
    let printed = fs::read(to).expect("the browser has written it");
    assert!(printed.starts_with(b"%PDF-"), "a PDF");
    let kind = b"/Type /Page";
    let pages = printed.windows(kind.len() + 1);
    pages
        .filter(|bytes| bytes.starts_with(kind) && bytes[kind.len()] != b's')
        .count()
}

fn run(page: &Path, proxy: &Proxy, arguments: &[&str]) -> tool::Ran {
    let profile = tempfile::tempdir().expect("there is room for a directory");
    let profile = format!("--user-data-dir={}", profile.path().display());
    let through = format!("--proxy-server=http://{}", proxy.address);
    let url = format!("file://{}", page.display());
    let mut all = vec![
        "--headless",
        // Its sandbox is nothing for root, and the page is our own.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        // Little of the browser's own is asked for.
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-sync",
        "--no-first-run",
        &profile,
        &through,
        "--proxy-bypass-list=<-loopback>",
    ];
    all.extend(arguments);
    all.push(&url);
    tool::run("chromium", &all).expect_code(0)
}

/// Where everything goes that a browser asks for. It answers nothing.
struct Proxy {
    address: SocketAddr,
    taken: JoinHandle<Vec<String>>,
}

/// What a browser asks for by itself, whatever it is told: its clock, its updates, its user.
const OWN: [&str; 3] = [
    "clients2.google.com/time/",
    "update.googleapis.com",
    "accounts.google.com",
];

/// No line of HTTP.
const STOP: &str = "stop";

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let taken = thread::spawn(move || take(&listener));
        Self { address, taken }
    }

    fn stop(self) -> Vec<String> {
        let mut last = TcpStream::connect(self.address).expect("it listens");
        writeln!(last, "{STOP}").expect("it reads");
        self.taken.join().expect("it ends")
    }
}

/// The first line of everything that comes.
fn take(listener: &TcpListener) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let (client, _) = listener.accept().expect("it is bound");
        let mut line = String::new();
        // Whoever says nothing asks for nothing.
        let _ = BufReader::new(client).read_line(&mut line);
        match line.trim_end() {
            STOP => return lines,
            "" => {}
            said if OWN.iter().any(|own| said.contains(own)) => {}
            said => lines.push(said.to_owned()),
        }
    }
}
