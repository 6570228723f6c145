//! An open-loop load generator for `kexue serve`: questions are sent when a schedule says so, whether or not earlier ones were answered, and a
//! question's time counts from when it was due. So a slow service cannot hide by slowing down whoever measures it.
//!
//! Only to 127.0.0.1, and bounded in count and time. Without dependencies: `rustc -O --edition 2024 load.rs`.
//!
//! ```text
//! load PORT QUESTIONS RATE SECONDS CONNECTIONS
//! ```
//!
//! QUESTIONS is a file with one question a line. RATE is questions per second; 0 sends the next as soon as one is answered, which finds the
//! capacity. Prints one line of JSON; times are in milliseconds.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// No more questions than this in a run.
const MOST: usize = 2_000_000;
/// No longer than this.
const LONGEST: f64 = 900.0;

struct Done {
    status: u16,
    milliseconds: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, questions, rate, seconds, connections] = arguments.as_slice() else {
        eprintln!("usage: load PORT QUESTIONS RATE SECONDS CONNECTIONS");
        std::process::exit(2);
    };
    let number = |text: &str| -> f64 { text.parse().unwrap_or_else(|_| panic!("`{text}` is no number")) };
    let port: u16 = number(port) as u16;
    let (rate, seconds, connections) = (number(rate), number(seconds).min(LONGEST), number(connections) as usize);
    let text = std::fs::read_to_string(questions).unwrap_or_else(|error| panic!("{questions}: {error}"));
    let requests: Vec<Vec<u8>> = text.lines().filter(|line| !line.trim().is_empty()).map(request).collect();
    assert!(!requests.is_empty(), "{questions}: no questions");

    // When each question is due: a Poisson process, the same at every run.
    let due: Vec<f64> = match rate > 0.0 {
        false => Vec::new(),
        true => {
            let (mut state, mut at, mut due) = (0x9e37_79b9_7f4a_7c15_u64, 0.0, Vec::new());
            while at < seconds && due.len() < MOST {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let uniform = ((state >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
                at -= uniform.ln() / rate;
                due.push(at);
            }
            due
        }
    };
    let next = AtomicUsize::new(0);
    let start = Instant::now() + Duration::from_millis(50);
    let worker = || {
        let mut done = Vec::new();
        let mut stream: Option<TcpStream> = None;
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let at = match due.is_empty() {
                true if start.elapsed().as_secs_f64() >= seconds || turn >= MOST => return done,
                true => Instant::now(),
                false if turn >= due.len() => return done,
                false => start + Duration::from_secs_f64(due[turn]),
            };
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            let status = exchange(&mut stream, port, &requests[turn % requests.len()]).unwrap_or_else(|_| {
                stream = None;
                0
            });
            done.push(Done {
                status,
                milliseconds: at.elapsed().as_secs_f64() * 1e3,
            });
        }
    };
    let done: Vec<Done> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections.clamp(1, 2000)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    let elapsed = start.elapsed().as_secs_f64();
    let of = |wanted: fn(u16) -> bool| {
        let mut times: Vec<f64> = done.iter().filter(|done| wanted(done.status)).map(|done| done.milliseconds).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (answered, refused) = (of(|status| status == 200), of(|status| status == 503));
    let other = done.len() - answered.len() - refused.len();
    println!(
        "{{\"rate\":{rate},\"seconds\":{elapsed:.1},\"sent\":{},\"answered\":{},\"per_second\":{:.1},\"p50\":{:.2},\"p99\":{:.2},\"p999\":{:.2},\
         \"refused\":{},\"refused_p50\":{:.2},\"refused_p99\":{:.2},\"other\":{other}}}",
        done.len(),
        answered.len(),
        answered.len() as f64 / elapsed,
        quantile(&answered, 0.5),
        quantile(&answered, 0.99),
        quantile(&answered, 0.999),
        refused.len(),
        quantile(&refused, 0.5),
        quantile(&refused, 0.99),
    );
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0.0)
}

fn request(question: &str) -> Vec<u8> {
    let escaped: String = question
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c < ' ' => format!("\\u{:04x}", c as u32),
            c => c.to_string(),
        })
        .collect();
    let body = format!("{{\"question\":\"{escaped}\"}}");
    format!(
        "POST /v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends a request and reads the response; the connection stays open.
fn exchange(kept: &mut Option<TcpStream>, port: u16, request: &[u8]) -> std::io::Result<u16> {
    let stream = match kept {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            kept.insert(stream)
        }
    };
    stream.write_all(request)?;
    let (mut bytes, mut block) = (Vec::new(), [0; 16384]);
    loop {
        let read = stream.read(&mut block)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&block[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            return Ok(head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0));
        }
    }
}
