//! The daemon that a test plays on the pipes of the real process.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use prost::Message as _;
use suture::pb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::unix::pipe;
use tokio::task::AbortHandle;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::generated::llb_bridge_server::{LlbBridge, LlbBridgeServer};
use crate::script::{Call, Reply, Script};

/// What every HTTP/2 connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longest life of a process; one that hangs is killed then.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest messages of a daemon since 0.14.
const MESSAGE_LIMIT: usize = 16 << 20;

/// Our process, started as a daemon starts it.
pub struct Frontend {
    process: Process,
    /// The process's stdin.
    stdin: pipe::Sender,
    /// The process's stdout.
    pub stdout: pipe::Receiver,
}

/// A process that does not outlive its test.
struct Process {
    child: Child,
    stderr: pipe::Receiver,
}

/// A process that has ended.
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it wrote into the daemon's log.
    pub log: String,
    /// How long it lived on after the last expected call was answered.
    pub lingered: Duration,
    /// What it said to the daemon.
    pub sent: Sent,
}

/// Requests that tests look at more closely than a script does.
#[derive(Default)]
pub struct Sent {
    /// The graphs.
    pub solved: Vec<pb::SolveRequest>,
    /// The warnings.
    pub warned: Vec<pb::WarnRequest>,
    /// The end of the build.
    pub returned: Option<pb::ReturnRequest>,
}

impl Ended {
    /// The image that the build ended with.
    pub fn image(self) -> pb::Result {
        let returned = self.sent.returned.unwrap();
        assert_eq!(returned.error, None);
        returned.result.unwrap()
    }

    /// The error that the build ended with.
    pub fn error(self) -> pb::Status {
        let returned = self.sent.returned.unwrap();
        assert_eq!(returned.result, None, "the daemon takes one of the two");
        returned.error.unwrap()
    }
}

impl Frontend {
    /// Starts the process with these options of the build.
    pub fn start(options: &[(&str, &str)]) -> Self {
        Self::start_with(options, &[])
    }

    /// The same with more variables in its environment.
    pub fn start_with(options: &[(&str, &str)], variables: &[(&str, &str)]) -> Self {
        // The daemon always says which image it runs.
        let source = ("source", "registry.example.org/suture:1");
        let options = options.iter().chain([&source]).enumerate().map(|(number, (key, value))| {
            (format!("BUILDKIT_FRONTEND_OPT_{number}"), format!("{key}={value}"))
        });
        let mut child = Command::new(env!("CARGO_BIN_EXE_suture"))
            .env_clear()
            .env("BUILDKIT_SESSION_ID", "the-session")
            // However much is logged, nothing of it may get between the frames.
            .env("RUST_LOG", "trace")
            .envs(options)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = OwnedFd::from(child.stdin.take().unwrap());
        let stdout = OwnedFd::from(child.stdout.take().unwrap());
        let stderr = OwnedFd::from(child.stderr.take().unwrap());
        Self {
            process: Process { child, stderr: pipe::Receiver::from_owned_fd(stderr).unwrap() },
            stdin: pipe::Sender::from_owned_fd(stdin).unwrap(),
            stdout: pipe::Receiver::from_owned_fd(stdout).unwrap(),
        }
    }

    /// Plays the daemon until the process ends by itself: the pipes stay open unless the script
    /// says that the daemon dies.
    pub async fn play(self, script: Script) -> Ended {
        let Self { process, stdin, stdout } = self;
        let (near, far) = tokio::io::duplex(1 << 20);
        let wire = tokio::spawn(relay(stdin, stdout, far));
        let daemon = Daemon(Arc::new(Mutex::new(State {
            script,
            wire: wire.abort_handle(),
            mistake: None,
            last_reply: Instant::now(),
            sent: Sent::default(),
        })));
        let serving = tokio::spawn(serve(daemon.clone(), near));
        let end = process.end().await;
        let ended_at = Instant::now();
        let received = wire.await;
        serving.abort();

        let mut state = daemon.state();
        if let Some(mistake) = &state.mistake {
            panic!("{mistake}");
        }
        let Some((status, log)) = end else {
            panic!("the process hangs; next is {}", state.script);
        };
        assert!(state.script.is_over(), "{status}, but next was {}; {log}", state.script);
        if let Ok(received) = received {
            assert_only_frames(&received);
        }
        let lingered = ended_at.duration_since(state.last_reply);
        Ended { status, log, lingered, sent: std::mem::take(&mut state.sent) }
    }

    /// Closes both pipes and waits for the end of the process: its status and its log.
    pub async fn hang_up(self) -> Option<(ExitStatus, String)> {
        let Self { process, stdin, stdout } = self;
        drop((stdin, stdout));
        process.end().await
    }
}

impl Process {
    /// Waits until the process ends: its status and its log. Nothing if it does not.
    async fn end(mut self) -> Option<(ExitStatus, String)> {
        let mut log = String::new();
        // stderr is closed by the process's end only.
        let closed = tokio::time::timeout(PATIENCE, self.stderr.read_to_string(&mut log)).await;
        closed.ok()?.unwrap();
        Some((self.child.wait().unwrap(), log))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Mostly it has ended already, and then nothing happens.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Joins the process's pipes into one stream; gives all that the process wrote, when it has ended.
///
/// When this task is aborted, both pipes are closed at once, as when a daemon dies.
async fn relay(mut stdin: pipe::Sender, mut stdout: pipe::Receiver, far: DuplexStream) -> Vec<u8> {
    let (mut downward, mut upward) = tokio::io::split(far);
    let up = async {
        let mut received = Vec::new();
        loop {
            let start = received.len();
            if stdout.read_buf(&mut received).await.unwrap() == 0 {
                return received;
            }
            // The server may have closed its side; what the process writes is kept all the same.
            drop(upward.write_all(&received[start..]).await);
        }
    };
    let down = async {
        drop(tokio::io::copy(&mut downward, &mut stdin).await);
        std::future::pending().await
    };
    tokio::select! {
        received = up => received,
        received = down => received,
    }
}

/// Serves the one connection with the settings of a daemon.
async fn serve(daemon: Daemon, stream: DuplexStream) {
    let service = LlbBridgeServer::new(daemon)
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let connections = tokio_stream::once(Ok::<_, std::io::Error>(stream));
    Server::builder()
        .max_concurrent_streams(250)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 20)
        .max_frame_size(1 << 20)
        .serve_with_incoming(service, connections)
        .await
        .unwrap();
}

/// Fails unless the bytes are an HTTP/2 connection from the first to the last.
fn assert_only_frames(received: &[u8]) {
    /// The last type of RFC 9113, section 6.
    const CONTINUATION: u8 = 9;
    let mut rest = received.strip_prefix(PREFACE).expect("the preface comes first");
    while let [high, middle, low, kind, _flags, _, _, _, _, payload @ ..] = rest {
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        let known = *kind <= CONTINUATION && length <= payload.len();
        assert!(known, "no frame: {}", String::from_utf8_lossy(rest));
        rest = &payload[length..];
    }
    assert!(rest.is_empty(), "no frame: {}", String::from_utf8_lossy(rest));
}

#[derive(Clone)]
struct Daemon(Arc<Mutex<State>>);

struct State {
    script: Script,
    wire: AbortHandle,
    /// The first call that was not expected.
    mistake: Option<String>,
    last_reply: Instant,
    sent: Sent,
}

impl Daemon {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn answer<T: 'static>(&self, call: Call) -> Result<Response<T>, Status> {
        let reply = {
            let mut state = self.state();
            state.last_reply = Instant::now();
            let reply = state.script.take(&call);
            if reply.is_none() && state.mistake.is_none() {
                state.mistake = Some(format!("expected {}, came {call:?}", state.script));
            }
            reply
        };
        match reply {
            Some(Reply::Message(message)) => {
                Ok(Response::new(*message.downcast().expect("the script's reply fits the call")))
            }
            Some(Reply::Refusal(status)) => Err(status),
            Some(Reply::Death) | None => {
                self.state().wire.abort();
                std::future::pending().await
            }
        }
    }
}

/// The identifier of the source that a graph consists of.
fn source(request: &pb::SolveRequest) -> String {
    let operations = request.definition.as_ref().map_or(&[][..], |definition| &definition.def);
    // The last one only points to the result.
    match operations {
        [source, _] => match pb::Op::decode(source.clone()).unwrap().op {
            Some(pb::op::Op::Source(source)) => source.identifier,
            other => format!("{other:?}"),
        },
        _ => format!("{} operations", operations.len()),
    }
}

#[tonic::async_trait]
impl LlbBridge for Daemon {
    async fn ping(
        &self,
        _: Request<pb::PingRequest>,
    ) -> Result<Response<pb::PongResponse>, Status> {
        self.answer(Call::Ping).await
    }

    async fn resolve_source_meta(
        &self,
        request: Request<pb::ResolveSourceMetaRequest>,
    ) -> Result<Response<pb::ResolveSourceMetaResponse>, Status> {
        let source = request.into_inner().source.unwrap_or_default();
        self.answer(Call::ResolveSourceMeta(source.identifier)).await
    }

    async fn resolve_image_config(
        &self,
        request: Request<pb::ResolveImageConfigRequest>,
    ) -> Result<Response<pb::ResolveImageConfigResponse>, Status> {
        self.answer(Call::ResolveImageConfig(request.into_inner().r#ref)).await
    }

    async fn solve(
        &self,
        request: Request<pb::SolveRequest>,
    ) -> Result<Response<pb::SolveResponse>, Status> {
        let request = request.into_inner();
        let call = Call::Solve(source(&request));
        self.state().sent.solved.push(request);
        self.answer(call).await
    }

    async fn read_file(
        &self,
        request: Request<pb::ReadFileRequest>,
    ) -> Result<Response<pb::ReadFileResponse>, Status> {
        let request = request.into_inner();
        let range = request.range.unwrap_or_default();
        self.answer(Call::ReadFile {
            tree: request.r#ref,
            path: request.file_path,
            range: range.offset..range.offset + range.length,
        })
        .await
    }

    async fn read_dir(
        &self,
        request: Request<pb::ReadDirRequest>,
    ) -> Result<Response<pb::ReadDirResponse>, Status> {
        let request = request.into_inner();
        self.answer(Call::ReadDir { tree: request.r#ref, path: request.dir_path }).await
    }

    async fn stat_file(
        &self,
        request: Request<pb::StatFileRequest>,
    ) -> Result<Response<pb::StatFileResponse>, Status> {
        let request = request.into_inner();
        self.answer(Call::StatFile { tree: request.r#ref, path: request.path }).await
    }

    async fn evaluate(
        &self,
        request: Request<pb::EvaluateRequest>,
    ) -> Result<Response<pb::EvaluateResponse>, Status> {
        self.answer(Call::Evaluate(request.into_inner().r#ref)).await
    }

    async fn inputs(
        &self,
        _: Request<pb::InputsRequest>,
    ) -> Result<Response<pb::InputsResponse>, Status> {
        self.answer(Call::Inputs).await
    }

    async fn warn(
        &self,
        request: Request<pb::WarnRequest>,
    ) -> Result<Response<pb::WarnResponse>, Status> {
        let request = request.into_inner();
        let call = Call::Warn(String::from_utf8_lossy(&request.short).into_owned());
        self.state().sent.warned.push(request);
        self.answer(call).await
    }

    async fn r#return(
        &self,
        request: Request<pb::ReturnRequest>,
    ) -> Result<Response<pb::ReturnResponse>, Status> {
        self.state().sent.returned = Some(request.into_inner());
        self.answer(Call::Return).await
    }
}
