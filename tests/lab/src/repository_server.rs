//! The server of the lab's repositories: files over HTTP, as apt and `BuildKit` ask for them, with
//! every request and its bytes noted for those who measure.

use std::env;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write, copy};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread::spawn;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::folder::LabFolder;
use crate::service::{Service, Start};

/// The port the server listens on: fixed, because images name it.
pub const PORT: u16 = 8642;

/// A port that nothing listens on.
pub const CLOSED_PORT: u16 = 1;

/// How many headers, of how many bytes together, a request may have.
const LONGEST_REQUEST: u64 = 64 * 1024;

/// The server of one engine, and what is recorded of it.
#[derive(Debug)]
pub struct RepositoryServer {
    folder: LabFolder,
    home: PathBuf,
    namespace_of: Option<u32>,
    address: IpAddr,
}

impl RepositoryServer {
    /// The server whose records are kept in `home`. It listens in the network namespace of a
    /// process, or in the machine's, and containers reach it under `address`.
    pub fn new(
        folder: &LabFolder,
        home: &Path,
        namespace_of: Option<u32>,
        address: IpAddr,
    ) -> Self {
        Self { folder: folder.clone(), home: home.to_path_buf(), namespace_of, address }
    }

    /// The server as a service.
    fn service(home: &Path) -> Service<'_> {
        Service { name: "repository-server", home, says: LISTENING }
    }

    /// One line for each request: milliseconds since 1970, method, path, status, bytes of the body.
    pub fn log(&self) -> PathBuf {
        self.home.join("requests.log")
    }

    /// The address of the folder with all repositories, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}:{PORT}", self.address)
    }

    /// The same, but with a port that nothing listens on.
    pub fn unreachable_url(&self) -> String {
        format!("http://{}:{CLOSED_PORT}", self.address)
    }

    /// Starts the server unless it runs.
    pub fn start(&self) -> Result<()> {
        // In a namespace of our own there is nobody else who could hear of the server.
        let listen_on = match self.namespace_of {
            Some(_) => Ipv4Addr::UNSPECIFIED.into(),
            None => self.address,
        };
        Self::service(&self.home).start(&self.folder, self.namespace_of, || {
            Ok(Start {
                program: env::current_exe().context("cannot find our own program")?,
                arguments: vec![
                    "serve".into(),
                    SocketAddr::new(listen_on, PORT).to_string().into(),
                    self.folder.folder("repositories")?.into(),
                    self.log().into(),
                ],
                environment: Vec::new(),
            })
        })
    }

    /// Stops the server. Says whether it ran.
    pub fn stop(home: &Path) -> Result<bool> {
        Self::service(home).stop()
    }
}

/// What the server says once it listens.
const LISTENING: &str = "listening";

/// Serves the files below `root` until the process is ended.
pub fn serve(address: &str, root: &Path, log: &Path) -> Result<()> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let log = File::create(log).with_context(|| format!("cannot make: {}", log.display()))?;
    let site = Arc::new(Site { root: root.to_path_buf(), log });
    eprintln!("{LISTENING} on {address}");
    for connection in listener.incoming() {
        let connection = connection.context("cannot accept a connection")?;
        let site = Arc::clone(&site);
        spawn(move || {
            // A client that goes away in the middle is none of the others' business.
            if let Err(error) = site.converse(&connection) {
                eprintln!("{error:#}");
            }
        });
    }
    Ok(())
}

/// The files that are served, and where requests are noted.
struct Site {
    root: PathBuf,
    log: File,
}

/// What a client asks for, as far as we understand it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    method: String,
    path: String,
    modified_since: Option<String>,
    none_match: Option<String>,
    close: bool,
}

/// What a client gets.
#[derive(Debug)]
enum Answer {
    /// The file.
    Found { file: File, bytes: u64, modified: String, tag: String },
    /// The client has the file already.
    NotModified { modified: String, tag: String },
    /// There is no such file.
    Missing,
    /// We understand only GET and HEAD.
    Refused,
}

impl Site {
    /// Answers the requests of one connection, one after the other.
    fn converse(&self, connection: &TcpStream) -> Result<()> {
        connection.set_nodelay(true).context("cannot set up a connection")?;
        let mut reader = BufReader::new(connection);
        let mut writer = BufWriter::new(connection);
        while let Some(request) = Request::read(&mut reader)? {
            self.answer(&request, &mut writer)?;
            writer.flush().context("client went away")?;
            if request.close {
                break;
            }
        }
        Ok(())
    }

    /// Answers one request and notes it.
    fn answer(&self, request: &Request, writer: &mut impl Write) -> Result<()> {
        let mut head = String::new();
        let (status, body) = match self.look_up(request)? {
            Answer::Found { file, bytes, modified, tag } => {
                write!(head, "Last-Modified: {modified}\r\nETag: {tag}\r\n")?;
                write!(head, "Content-Length: {bytes}\r\n")?;
                ("200 OK", (request.method == "GET").then_some((file, bytes)))
            }
            Answer::NotModified { modified, tag } => {
                write!(head, "Last-Modified: {modified}\r\nETag: {tag}\r\n")?;
                ("304 Not Modified", None)
            }
            Answer::Missing => {
                head.push_str("Content-Length: 0\r\n");
                ("404 Not Found", None)
            }
            Answer::Refused => {
                head.push_str("Content-Length: 0\r\n");
                ("405 Method Not Allowed", None)
            }
        };
        write!(writer, "HTTP/1.1 {status}\r\n{head}\r\n").context("client went away")?;
        let sent = match body {
            Some((file, bytes)) => {
                copy(&mut file.take(bytes), writer).context("client went away")?
            }
            None => 0,
        };
        let milliseconds = since_1970(SystemTime::now()).as_millis();
        let code = status.split(' ').next().unwrap_or_default();
        let line = format!("{milliseconds} {} {} {code} {sent}\n", request.method, request.path);
        (&self.log).write_all(line.as_bytes()).context("cannot note a request")
    }

    /// Finds what a request is about.
    fn look_up(&self, request: &Request) -> Result<Answer> {
        if request.method != "GET" && request.method != "HEAD" {
            return Ok(Answer::Refused);
        }
        let Some(path) = file_path(&request.path) else { return Ok(Answer::Missing) };
        let Ok(file) = File::open(self.root.join(path)) else { return Ok(Answer::Missing) };
        let metadata = file.metadata().context("cannot look at a file")?;
        if !metadata.is_file() {
            return Ok(Answer::Missing);
        }
        let changed = since_1970(metadata.modified().context("cannot look at a file")?);
        let modified = http_date(changed.as_secs());
        let tag = format!("\"{:x}-{:x}\"", changed.as_nanos(), metadata.len());
        let known = match &request.none_match {
            Some(tags) => tags.split(',').any(|known| known.trim() == tag),
            None => request.modified_since.as_ref() == Some(&modified),
        };
        Ok(if known {
            Answer::NotModified { modified, tag }
        } else {
            Answer::Found { file, bytes: metadata.len(), modified, tag }
        })
    }
}

impl Request {
    /// Reads the next request; `None` when the client has no more.
    fn read(reader: &mut impl BufRead) -> Result<Option<Self>> {
        let mut reader = reader.take(LONGEST_REQUEST);
        let mut first = String::new();
        if reader.read_line(&mut first).context("client went away")? == 0 {
            return Ok(None);
        }
        let mut words = first.split_whitespace();
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            bail!("not a request: {first:?}");
        };
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            close: words.next() != Some("HTTP/1.1"),
            ..Self::default()
        };
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).context("client went away")? == 0 {
                bail!("request ends in the middle: {first:?}");
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                return Ok(Some(request));
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "if-modified-since" => request.modified_since = Some(value.to_owned()),
                "if-none-match" => request.none_match = Some(value.to_owned()),
                "connection" => request.close = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
    }
}

/// The path of a file below the root, `None` for one that leads out of it or is no path at all.
fn file_path(request: &str) -> Option<PathBuf> {
    let path = request.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = PathBuf::from(decoded(path)?);
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

/// Undoes the percent signs of an address; apt writes `+` as `%2b`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
            u8::try_from(value).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

/// How long after 1970 a time is; none of ours is before.
fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A time as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let days_since_1970 = seconds / 86_400;
    let weekday = DAYS.into_iter().cycle().nth((days_since_1970 % 7) as usize).unwrap_or_default();
    let mut day = days_since_1970;
    let mut year = 1970;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut name = "";
    for (month, length) in MONTHS {
        let length = length + u64::from(month == "Feb" && is_leap(year));
        name = month;
        if day < length {
            break;
        }
        day -= length;
    }
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(951_782_399), "Mon, 28 Feb 2000 23:59:59 GMT");
        assert_eq!(http_date(951_868_799), "Tue, 29 Feb 2000 23:59:59 GMT");
        assert_eq!(http_date(1_735_689_599), "Tue, 31 Dec 2024 23:59:59 GMT");
    }

    #[test]
    fn paths_stay_below_the_root() {
        assert_eq!(file_path("/pool/a_1%2blab1.deb?x"), Some("pool/a_1+lab1.deb".into()));
        for outside in ["/../key", "/a/%2e%2e/key", "//etc/passwd", "relative", "/a%4", "/%ff"] {
            assert_eq!(file_path(outside), None, "{outside}");
        }
    }

    #[test]
    fn requests_follow_one_another() {
        let mut text: &[u8] = b"GET /a HTTP/1.1\r\nIf-None-Match: \"1\"\r\n\r\n\
                                HEAD /b HTTP/1.1\r\nConnection: close\r\n\r\n";
        let first = Request::read(&mut text).unwrap().unwrap();
        assert_eq!((first.path.as_str(), first.close), ("/a", false));
        assert_eq!(first.none_match.as_deref(), Some("\"1\""));
        let second = Request::read(&mut text).unwrap().unwrap();
        assert_eq!((second.method.as_str(), second.close), ("HEAD", true));
        assert_eq!(Request::read(&mut text).unwrap(), None);
    }
}
