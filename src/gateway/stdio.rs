//! The gateway over the process's own stdin and stdout.
//!
//! The daemon starts the frontend as a container and speaks gRPC over its stdin and stdout: one
//! HTTP/2 connection without TLS, the daemon being the server.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;
use tonic::transport::{Channel, Endpoint};

use crate::digest::Digest;
use crate::llb::Output;
use crate::pb;
use crate::pb::llb_bridge_client::LlbBridgeClient;
use crate::platform::Platform;
use crate::request::context::Context;
use crate::request::{CacheImport, NestedBuild};

use super::{
    Built, Daemon, EngineStatus, FileStat, Gateway, GatewayError, ImageSource, Ref, ResolvedImage,
    Trees, Warning, message,
};

/// Error details arrive as HTTP/2 headers and hold whole build files; hyper's default is 16 KiB,
/// and more than that would close the connection.
const HEADER_LIST_SIZE: u32 = 16 << 20;

/// How long the first call may take (the Go client's limit).
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// The connection to the daemon that started this process.
#[derive(Clone, Debug)]
pub struct StdioGateway {
    client: LlbBridgeClient<Channel>,
    daemon: Daemon,
    cache_imports: Vec<CacheImport>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// stdin or stdout is not a pipe, as it is for a frontend.
    #[error(
        "stdin and stdout are not the pipes of a BuildKit frontend: start suture as `# syntax=` image"
    )]
    NoPipes(#[source] io::Error),
    /// The HTTP/2 connection could not be established.
    #[error("no connection to the daemon")]
    Transport(#[from] tonic::transport::Error),
    /// The first call failed.
    #[error("the daemon does not answer")]
    Ping(#[source] GatewayError),
}

/// What the build ends with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A result.
    Result {
        /// Its trees.
        trees: Trees<Ref>,
        /// What exporters and the client read.
        metadata: BTreeMap<String, Bytes>,
    },
    /// An error.
    Failure(EngineStatus),
}

impl StdioGateway {
    /// Connects over stdin and stdout. It must be the first thing the process does: the daemon
    /// waits 10 seconds for it.
    pub async fn connect() -> Result<Self, ConnectError> {
        // A blocking read of stdin could not be cancelled and would keep the process alive.
        let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(ConnectError::NoPipes)?;
        let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(ConnectError::NoPipes)?;
        let receiver = pipe::Receiver::from_owned_fd(stdin).map_err(ConnectError::NoPipes)?;
        let sender = pipe::Sender::from_owned_fd(stdout).map_err(ConnectError::NoPipes)?;
        Self::connect_over(tokio::io::join(receiver, sender)).await
    }

    /// Connects over any stream of bytes.
    pub async fn connect_over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, ConnectError> {
        let stream = Mutex::new(Some(TokioIo::new(stream)));
        let connector = tower::service_fn(move |_| {
            let stream = stream.lock().ok().and_then(|mut stream| stream.take());
            let used_up = || io::Error::other("the connection to the daemon is lost");
            std::future::ready(stream.ok_or_else(used_up))
        });
        let channel = Endpoint::from_static("http://localhost")
            .http2_max_header_list_size(HEADER_LIST_SIZE)
            .connect_with_connector(connector)
            .await?;
        let mut client = LlbBridgeClient::new(channel).max_decoding_message_size(usize::MAX);
        let mut ping = tonic::Request::new(pb::PingRequest {});
        ping.set_timeout(PING_TIMEOUT);
        let pong = client.ping(ping).await.map_err(|status| ConnectError::Ping(status.into()))?;
        let daemon = message::daemon(pong.get_ref()).map_err(ConnectError::Ping)?;
        Ok(Self { client, daemon, cache_imports: Vec::new() })
    }

    /// The same connection, with these sources of cached results for every solve.
    #[must_use]
    pub fn with_cache_imports(self, cache_imports: Vec<CacheImport>) -> Self {
        Self { cache_imports, ..self }
    }

    /// A request to solve nothing yet.
    fn solve_request(&self) -> pb::SolveRequest {
        let imports = self.cache_imports.iter().map(|import| pb::CacheOptionsEntry {
            r#type: import.kind.clone(),
            attrs: import.attributes.clone(),
        });
        pb::SolveRequest {
            allow_result_return: true,
            allow_result_array_ref: true,
            cache_imports: imports.collect(),
            ..Default::default()
        }
    }

    /// Ends the build; the daemon takes the first answer only.
    pub async fn answer(&self, answer: Answer) -> Result<(), GatewayError> {
        // Exactly one of the two fields: a request with none can crash the daemon.
        let request = match answer {
            Answer::Result { trees, metadata } => {
                let result = message::result(trees, metadata);
                pb::ReturnRequest { result: Some(result), error: None }
            }
            Answer::Failure(status) => {
                pb::ReturnRequest { result: None, error: Some(status.into()) }
            }
        };
        self.client.clone().r#return(request).await?;
        Ok(())
    }
}

impl Gateway for StdioGateway {
    fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    async fn solve(&self, output: &Output) -> Result<Ref, GatewayError> {
        let request = pb::SolveRequest {
            definition: Some(output.definition(&self.daemon.llb)?),
            ..self.solve_request()
        };
        let response = self.client.clone().solve(request).await?;
        message::single_reference(response.into_inner())
    }

    async fn read_range(
        &self,
        tree: &Ref,
        path: &str,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, GatewayError> {
        let range = pb::FileRange {
            offset: i64::try_from(offset).unwrap_or(i64::MAX),
            length: i64::try_from(length).unwrap_or(i64::MAX),
        };
        let request = pb::ReadFileRequest {
            r#ref: tree.0.clone(),
            file_path: path.to_owned(),
            range: Some(range),
        };
        Ok(self.client.clone().read_file(request).await?.into_inner().data)
    }

    async fn stat(&self, tree: &Ref, path: &str) -> Result<FileStat, GatewayError> {
        let request = pb::StatFileRequest { r#ref: tree.0.clone(), path: path.to_owned() };
        let response = self.client.clone().stat_file(request).await?.into_inner();
        let absent = || GatewayError::Malformed(format!("no stat for {path}"));
        Ok(message::file_stat(response.stat.ok_or_else(absent)?))
    }

    async fn read_directory(&self, tree: &Ref, path: &str) -> Result<Vec<FileStat>, GatewayError> {
        let request = pb::ReadDirRequest {
            r#ref: tree.0.clone(),
            dir_path: path.to_owned(),
            include_pattern: String::new(),
        };
        let response = self.client.clone().read_dir(request).await?.into_inner();
        Ok(response.entries.into_iter().map(message::file_stat).collect())
    }

    async fn resolve_image(
        &self,
        source: &ImageSource,
        platform: &Platform,
    ) -> Result<ResolvedImage, GatewayError> {
        let mut client = self.client.clone();
        let (digest, config) = if self.daemon.gateway.has("source.metaresolver") {
            let request = message::resolve_source_meta(source, platform);
            let response = client.resolve_source_meta(request).await?.into_inner();
            let absent = || GatewayError::Malformed("no image where one was asked for".to_owned());
            let image = response.image.ok_or_else(absent)?;
            (image.digest, image.config)
        } else {
            let request = message::resolve_image_config(source, platform);
            let response = client.resolve_image_config(request).await?.into_inner();
            (response.digest, response.config)
        };
        let digest = match digest.as_str() {
            "" => None,
            text => Some(
                text.parse::<Digest>()
                    .map_err(|error| GatewayError::Malformed(error.to_string()))?,
            ),
        };
        Ok(ResolvedImage { digest, config })
    }

    async fn made_at(&self, context: &Context) -> Result<Option<i64>, GatewayError> {
        let Some(request) = message::resolve_made_at(context) else { return Ok(None) };
        let response = self.client.clone().resolve_source_meta(request).await?;
        Ok(message::made_at(response.get_ref()))
    }

    async fn build(&self, nested: &NestedBuild) -> Result<Built, GatewayError> {
        let mut client = self.client.clone();
        let inputs = client.inputs(pb::InputsRequest {}).await?.into_inner();
        let request = pb::SolveRequest {
            frontend: nested.frontend.to_owned(),
            frontend_opt: nested.options.clone(),
            frontend_inputs: inputs.definitions,
            ..self.solve_request()
        };
        message::built(client.solve(request).await?.into_inner())
    }

    async fn inputs(&self) -> Result<BTreeMap<String, Option<Output>>, GatewayError> {
        let response = self.client.clone().inputs(pb::InputsRequest {}).await?.into_inner();
        response
            .definitions
            .into_iter()
            .map(|(name, definition)| {
                let output = Output::from_definition(&definition)
                    .map_err(|error| GatewayError::Malformed(error.to_string()))?;
                Ok((name, output))
            })
            .collect()
    }

    async fn warn(&self, warning: &Warning) -> Result<(), GatewayError> {
        if self.daemon.gateway.has("gateway.warnings") {
            self.client.clone().warn(message::warn(warning)).await?;
        }
        Ok(())
    }
}
