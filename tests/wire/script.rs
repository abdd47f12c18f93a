//! What the daemon of a test expects to be called with, and what it answers.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use suture::pb;
use tonic::Status;

/// A call as a test names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// What can the daemon do?
    Ping,
    /// What does this image stand for?
    ResolveSourceMeta(String),
    /// The same, as daemons before 0.13 were asked.
    ResolveImageConfig(String),
    /// A graph, by the source that it consists of.
    Solve(String),
    /// Some bytes of a file.
    ReadFile {
        /// The tree's id.
        tree: String,
        /// Path in it.
        path: String,
        /// Which bytes.
        range: Range<i64>,
    },
    /// The entries of a directory.
    ReadDir {
        /// The tree's id.
        tree: String,
        /// Path in it.
        path: String,
    },
    /// What is at a path.
    StatFile {
        /// The tree's id.
        tree: String,
        /// Path in it.
        path: String,
    },
    /// A tree made now.
    Evaluate(String),
    /// The trees the client has built.
    Inputs,
    /// A warning, by its first line.
    Warn(String),
    /// The end of the build.
    Return,
}

/// A piece of a file that is read in pieces of this size.
pub fn read(tree: &str, path: &str, number: usize, piece: usize) -> Call {
    let [start, end] = [number, number + 1].map(|it| i64::try_from(it * piece).unwrap());
    Call::ReadFile { tree: tree.to_owned(), path: path.to_owned(), range: start..end }
}

/// What the daemon does about a call.
pub enum Reply {
    /// Answers; the type must be the call's.
    Message(Box<dyn Any + Send>),
    /// Refuses.
    Refusal(Status),
    /// Closes the connection without an answer.
    Death,
}

impl Reply {
    /// An answer.
    pub fn message(message: impl Any + Send) -> Self {
        Self::Message(Box::new(message))
    }

    /// Answer to `Solve`: the tree with this id.
    pub fn tree(id: &str) -> Self {
        let reference = pb::Ref { id: id.to_owned(), def: None };
        let result = Some(pb::result::Result::Ref(reference));
        let result = pb::Result { result, ..Default::default() };
        Self::message(pb::SolveResponse { result: Some(result) })
    }

    /// Answer to `ReadFile`.
    pub fn bytes(bytes: impl Into<bytes::Bytes>) -> Self {
        Self::message(pb::ReadFileResponse { data: bytes.into() })
    }

    /// Answer to `StatFile`: a regular file.
    pub fn file(size: usize) -> Self {
        let size = i64::try_from(size).unwrap();
        let stat = pb::Stat { mode: 0o644, size, ..Default::default() };
        Self::message(pb::StatFileResponse { stat: Some(stat) })
    }

    /// Answer to whatever path there is none; the protocol has no code for it.
    pub fn absent() -> Self {
        Self::Refusal(Status::unknown("lstat: no such file or directory"))
    }
}

/// Calls in the order in which they must come, each with its reply.
#[derive(Default)]
pub struct Script(VecDeque<Step>);

enum Step {
    /// Exactly this call.
    Call(Call, Reply),
    /// All of these, each in its own order; among each other in any.
    Meanwhile(Vec<Script>),
}

impl Script {
    /// The same script, then this call.
    pub fn expect(mut self, call: Call, reply: Reply) -> Self {
        self.0.push_back(Step::Call(call, reply));
        self
    }

    /// The same script, then a whole file, asked for in pieces of `piece` bytes.
    pub fn expect_file(mut self, tree: &str, path: &str, content: &[u8], piece: usize) -> Self {
        // A short piece is the last one, be it empty.
        for number in 0..=content.len() / piece {
            let start = number * piece;
            let bytes = content[start..content.len().min(start + piece)].to_vec();
            self = self.expect(read(tree, path, number, piece), Reply::bytes(bytes));
        }
        self
    }

    /// The same script, then several whose calls may come between each other's.
    pub fn meanwhile<const N: usize>(mut self, scripts: [Self; N]) -> Self {
        self.0.push_back(Step::Meanwhile(scripts.into()));
        self
    }

    /// The same script, then that one.
    pub fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The reply to a call, unless another one is expected.
    pub fn take(&mut self, call: &Call) -> Option<Reply> {
        match self.0.pop_front()? {
            Step::Call(expected, reply) if expected == *call => Some(reply),
            Step::Meanwhile(mut scripts) => {
                let reply = scripts.iter_mut().find_map(|script| script.take(call));
                scripts.retain(|script| !script.is_over());
                if !scripts.is_empty() {
                    self.0.push_front(Step::Meanwhile(scripts));
                }
                reply
            }
            other @ Step::Call(..) => {
                self.0.push_front(other);
                None
            }
        }
    }

    /// Whether nothing more is expected.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// What may come next.
impl fmt::Display for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.front() {
            None => formatter.write_str("nothing"),
            Some(Step::Call(call, _)) => write!(formatter, "{call:?}"),
            Some(Step::Meanwhile(scripts)) => {
                let next: Vec<String> = scripts.iter().map(ToString::to_string).collect();
                formatter.write_str(&next.join(" or "))
            }
        }
    }
}
