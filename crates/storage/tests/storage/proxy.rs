//! A connection to a database that can be cut, or hang. The tests of the server use this file as well.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Forwards connections until it is cut.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    is_cut: AtomicBool,
    hangs: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(target: impl Into<String>) -> Self {
        let target = target.into();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Faults::default());
        let shared = Arc::clone(&faults);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if shared.is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let pairs =
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
                for (from, to) in pairs {
                    let faults = Arc::clone(&shared);
                    thread::spawn(move || forward(from, to, &faults));
                }
            }
        });
        Self { port, faults }
    }

    pub(crate) fn cut(&self, cut: bool) {
        self.faults.is_cut.store(cut, Ordering::SeqCst);
    }

    /// Whether connections stay open, but nothing is forwarded.
    #[allow(dead_code, reason = "the tests of the storage only cut connections")]
    pub(crate) fn hang(&self, hangs: bool) {
        self.faults.hangs.store(hangs, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, faults: &Faults) {
    let _ = from.set_read_timeout(Some(Duration::from_millis(20)));
    let mut buffer = vec![0; 65_536];
    while !faults.is_cut.load(Ordering::SeqCst) {
        if faults.hangs.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
