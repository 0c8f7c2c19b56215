//! A name server on loopback that answers what a test says, or does not, or not well.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What is answered to a question.
#[derive(Clone)]
pub enum Answer {
    /// These names (PTR), each as its labels.
    Names(Vec<Vec<Vec<u8>>>),
    /// This address (A or AAAA).
    Address(IpAddr),
    /// Nothing at all.
    Silence,
    /// These octets, behind the id of the question.
    Octets(Vec<u8>),
    /// The right answer to another question: its id is wrong.
    AnotherId,
}

/// A name server. What it does not know does not exist (NXDOMAIN).
pub struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    release: Option<Sender<()>>,
}

impl Answer {
    /// These names, in dots.
    pub fn names(names: &[&str]) -> Self {
        let labels = |name: &&str| name.split('.').map(|l| l.as_bytes().to_vec()).collect();
        Self::Names(names.iter().map(labels).collect())
    }

    /// This address.
    pub fn address(address: &str) -> Self {
        Self::Address(address.parse().expect("an address"))
    }
}

impl NameServer {
    /// One that knows these.
    pub fn start(known: &[(&str, Answer)]) -> Self {
        Self::run(known, None)
    }

    /// The same, which answers nobody before it is released.
    pub fn held(known: &[(&str, Answer)]) -> Self {
        let (release, released) = channel();
        Self {
            release: Some(release),
            ..Self::run(known, Some(released))
        }
    }

    fn run(known: &[(&str, Answer)], released: Option<Receiver<()>>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = socket.local_addr().expect("it is bound");
        let known: BTreeMap<String, Answer> = known
            .iter()
            .map(|(name, answer)| ((*name).to_owned(), answer.clone()))
            .collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let questions = Arc::clone(&asked);
        // It ends with the process: there is nobody it could disturb.
        thread::spawn(move || serve(&socket, &known, &questions, released.as_ref()));
        Self {
            address,
            asked,
            release: None,
        }
    }

    /// Where it is asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every question so far, by its name.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    /// Lets it answer what it was asked, and from now on.
    pub fn release(&mut self) {
        self.release = None;
    }
}

fn serve(
    socket: &UdpSocket,
    known: &BTreeMap<String, Answer>,
    asked: &Mutex<Vec<String>>,
    released: Option<&Receiver<()>>,
) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        let Some((name, end)) = question(&buffer[..length]) else {
            continue;
        };
        let answer = known.get(&name);
        asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name);
        if let Some(released) = released {
            // It is released when the other end is dropped.
            let _ = released.recv();
        }
        if let Some(reply) = reply(&buffer[..end], answer) {
            let _ = socket.send_to(&reply, client);
        }
    }
}

/// The name in the question, and where the question ends.
fn question(message: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = message.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
    Some((labels.join("."), at + 4))
}

const PTR: u16 = 12;
const A: u16 = 1;
const AAAA: u16 = 28;

fn reply(asked: &[u8], answer: Option<&Answer>) -> Option<Vec<u8>> {
    let records: Vec<(u16, Vec<u8>)> = match answer {
        None => Vec::new(),
        Some(Answer::Silence) => return None,
        Some(Answer::Octets(octets)) => return Some([&asked[..2], octets].concat()),
        Some(Answer::Names(names)) => names.iter().map(|name| (PTR, wire(name))).collect(),
        Some(Answer::Address(IpAddr::V4(v4))) => vec![(A, v4.octets().to_vec())],
        Some(Answer::Address(IpAddr::V6(v6))) => vec![(AAAA, v6.octets().to_vec())],
        Some(Answer::AnotherId) => vec![(PTR, wire(&[b"forged".to_vec()]))],
    };
    let mut reply = asked.to_vec();
    if matches!(answer, Some(Answer::AnotherId)) {
        reply[0] ^= 0xff;
    }
    // A response; recursion was desired and is available; NXDOMAIN where there is none.
    reply[2] = 0x81;
    reply[3] = if answer.is_some() { 0x80 } else { 0x83 };
    let count = u16::try_from(records.len()).expect("tests have few");
    reply[6..8].copy_from_slice(&count.to_be_bytes());
    reply[8..12].fill(0);
    for (kind, data) in records {
        // The name of the question, by reference.
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
        let length = u16::try_from(data.len()).expect("tests have short ones");
        reply.extend(length.to_be_bytes());
        reply.extend(data);
    }
    Some(reply)
}

fn wire(labels: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in labels {
        wire.push(u8::try_from(label.len()).expect("a label is short"));
        wire.extend(label);
    }
    wire.push(0);
    wire
}
