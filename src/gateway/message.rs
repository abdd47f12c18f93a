//! Between our values and the messages on the wire.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use crate::llb::capability::Capabilities;
use crate::llb::source::image_identifier;
use crate::llb::{DefinitionError, Output, platform_message};
use crate::pb;
use crate::platform::Platform;
use crate::request::context::Context;

use super::{
    Built, Daemon, EngineStatus, Excerpt, FileKind, FileStat, GatewayError, ImageSource, Ref,
    SolvedTree, Trees, Warning,
};

/// gRPC's code for an error of no particular kind; it prints without a prefix.
pub(super) const UNKNOWN: i32 = 2;

impl From<tonic::Status> for GatewayError {
    fn from(status: tonic::Status) -> Self {
        let details = pb::Status::decode(status.details()).unwrap_or_default();
        let code = i32::from(status.code());
        Self::Engine(Box::new(EngineStatus {
            // Code 0 in an answer would be read as «no error».
            code: if code == 0 { UNKNOWN } else { code },
            message: status.message().to_owned(),
            details: details
                .details
                .into_iter()
                .map(|detail| (detail.type_url, detail.value))
                .collect(),
        }))
    }
}

impl From<EngineStatus> for pb::Status {
    fn from(status: EngineStatus) -> Self {
        Self {
            code: if status.code == 0 { UNKNOWN } else { status.code },
            message: status.message,
            details: status
                .details
                .into_iter()
                .map(|(type_url, value)| pb::StatusDetail { type_url, value })
                .collect(),
        }
    }
}

pub(super) fn daemon(pong: &pb::PongResponse) -> Result<Daemon, GatewayError> {
    let capabilities = |list: &[pb::ApiCap]| {
        Capabilities::new(list.iter().map(|capability| {
            let reason = if capability.disabled_reason_msg.is_empty() {
                &capability.disabled_reason
            } else {
                &capability.disabled_reason_msg
            };
            (capability.id.as_str(), capability.enabled, reason.as_str())
        }))
    };
    let with_platforms = pong.workers.iter().find(|worker| !worker.platforms.is_empty());
    let platforms: Vec<Platform> =
        with_platforms.iter().flat_map(|worker| &worker.platforms).map(platform).collect();
    let own = platforms.first().cloned();
    Ok(Daemon {
        llb: capabilities(&pong.llb_caps),
        gateway: capabilities(&pong.frontend_api_caps),
        platform: own
            .ok_or_else(|| GatewayError::Malformed("no worker has a platform".to_owned()))?,
        platforms,
    })
}

fn platform(message: &pb::Platform) -> Platform {
    Platform::new(&message.os, &message.architecture, &message.variant)
        .with_os_version(message.os_version.clone(), message.os_features.clone())
}

pub(super) fn file_stat(stat: pb::Stat) -> FileStat {
    FileStat {
        kind: FileKind::from_go_mode(stat.mode),
        size: u64::try_from(stat.size).unwrap_or(0),
        name: stat.path,
    }
}

/// The reference of a result that has exactly one.
pub(super) fn single_reference(response: pb::SolveResponse) -> Result<Ref, GatewayError> {
    match response.result.and_then(|result| result.result) {
        Some(pb::result::Result::Ref(reference)) => Ok(Ref(reference.id)),
        Some(pb::result::Result::Refs(_)) => {
            Err(GatewayError::Malformed("several results for one graph".to_owned()))
        }
        None => Err(GatewayError::Malformed("no result for a graph".to_owned())),
    }
}

/// What another frontend has answered, as values.
pub(super) fn built(response: pb::SolveResponse) -> Result<Built, GatewayError> {
    let result = response.result.unwrap_or_default();
    let trees = match result.result {
        None => Trees::None,
        Some(pb::result::Result::Ref(reference)) => Trees::Single(solved_tree(reference)?),
        Some(pb::result::Result::Refs(references)) => {
            let trees = references.refs.into_iter();
            let trees = trees.map(|(platform, tree)| Ok((platform, solved_tree(tree)?)));
            Trees::Index(trees.collect::<Result<_, GatewayError>>()?)
        }
    };
    Ok(Built { trees, metadata: result.metadata })
}

fn solved_tree(reference: pb::Ref) -> Result<Option<SolvedTree>, GatewayError> {
    let malformed = |error: DefinitionError| GatewayError::Malformed(error.to_string());
    let definition = reference.def.unwrap_or_default();
    let output = Output::from_definition(&definition).map_err(malformed)?;
    let reading = Ref(reference.id);
    // Neither an empty handle nor an empty graph can be read.
    Ok(output.filter(|_| !reading.0.is_empty()).map(|output| SolvedTree { reading, output }))
}

/// What a build ends with, for the daemon.
pub(super) fn result(trees: Trees<Ref>, metadata: BTreeMap<String, Bytes>) -> pb::Result {
    // An empty value of a map would not be sent, and the daemon reads one without checking that it is there.
    let reference = |tree: Option<Ref>| pb::Ref {
        id: tree.map_or_else(String::new, |tree| tree.0),
        def: Some(pb::Definition::default()),
    };
    let result = match trees {
        Trees::None => return pb::Result { result: None, metadata },
        Trees::Single(tree) => pb::result::Result::Ref(reference(tree)),
        Trees::Index(trees) => {
            let refs = trees.into_iter().map(|(platform, tree)| (platform, reference(tree)));
            pb::result::Result::Refs(pb::RefMap { refs: refs.collect() })
        }
    };
    pb::Result { result: Some(result), metadata }
}

fn log_name(source: &ImageSource) -> String {
    match source {
        ImageSource::Registry { reference, .. } => {
            format!("[internal] load metadata for {}", reference.canonical())
        }
        ImageSource::OciLayout(layout) => {
            format!("[internal] load metadata for {}", layout.identifier())
        }
    }
}

pub(super) fn resolve_source_meta(
    source: &ImageSource,
    platform: &Platform,
) -> pb::ResolveSourceMetaRequest {
    let (operation, mode) = match source {
        ImageSource::Registry { reference, mode } => {
            let identifier = image_identifier(reference);
            (pb::SourceOp { identifier, attrs: BTreeMap::new() }, mode.as_str())
        }
        ImageSource::OciLayout(layout) => {
            let (identifier, attrs) = (layout.identifier(), layout.attributes());
            (pb::SourceOp { identifier, attrs }, "")
        }
    };
    pb::ResolveSourceMetaRequest {
        source: Some(operation),
        platform: Some(platform_message(platform)),
        log_name: log_name(source),
        resolve_mode: mode.to_owned(),
        git: None,
    }
}

/// Asks when a context was made; nothing for one whose time no daemon knows.
pub(super) fn resolve_made_at(context: &Context) -> Option<pb::ResolveSourceMetaRequest> {
    let (identifier, attrs, git) = match context {
        Context::Git(git) => {
            let request = pb::ResolveSourceGitRequest { return_object: true };
            (git.identifier(), git.attributes(), Some(request))
        }
        Context::Http(url) => (url.clone(), BTreeMap::new(), None),
        Context::Local(_) | Context::Image(_) | Context::OciLayout(_) | Context::Input(..) => {
            return None;
        }
    };
    Some(pb::ResolveSourceMetaRequest {
        log_name: format!("[internal] look when {identifier} was made"),
        source: Some(pb::SourceOp { identifier, attrs }),
        git,
        ..Default::default()
    })
}

/// When a context was made, from the answer to [`resolve_made_at`].
pub(super) fn made_at(response: &pb::ResolveSourceMetaResponse) -> Option<i64> {
    if let Some(http) = &response.http {
        return http.last_modified.as_ref().map(|time| time.seconds);
    }
    committed_at(&response.git.as_ref()?.commit_object)
}

/// The time of a commit (gitformat-commit: `committer NAME <ADDRESS> SECONDS ZONE`).
fn committed_at(object: &[u8]) -> Option<i64> {
    let text = String::from_utf8_lossy(object);
    let committer = text.lines().find_map(|line| line.strip_prefix("committer "))?;
    committer.rsplit(' ').nth(1)?.parse().ok()
}

/// The older form of [`resolve_source_meta`], for daemons before 0.13.
pub(super) fn resolve_image_config(
    source: &ImageSource,
    platform: &Platform,
) -> pb::ResolveImageConfigRequest {
    let request = pb::ResolveImageConfigRequest {
        platform: Some(platform_message(platform)),
        log_name: log_name(source),
        ..Default::default()
    };
    match source {
        ImageSource::Registry { reference, mode } => pb::ResolveImageConfigRequest {
            r#ref: reference.canonical(),
            resolve_mode: mode.as_str().to_owned(),
            ..request
        },
        ImageSource::OciLayout(layout) => pb::ResolveImageConfigRequest {
            r#ref: format!("{}@{}", layout.name, layout.digest),
            resolver_type: 1,
            session_id: layout.session.clone(),
            store_id: layout.store.clone(),
            ..request
        },
    }
}

pub(super) fn warn(warning: &Warning) -> pb::WarnRequest {
    pb::WarnRequest {
        digest: warning.vertex.as_str().to_owned(),
        level: 1,
        short: Bytes::copy_from_slice(warning.short.as_bytes()),
        detail: warning.detail.iter().map(|line| Bytes::from(line.clone())).collect(),
        url: String::new(),
        info: warning.excerpt.as_ref().map(source_info),
        ranges: warning.excerpt.iter().map(range).collect(),
    }
}

fn source_info(excerpt: &Excerpt) -> pb::SourceInfo {
    pb::SourceInfo {
        filename: excerpt.filename.clone(),
        data: excerpt.text.clone(),
        definition: None,
        language: "Dockerfile".to_owned(),
    }
}

fn range(excerpt: &Excerpt) -> pb::Range {
    let (first, last) = excerpt.lines;
    pb::Range {
        start: Some(pb::Position { line: first, character: 0 }),
        end: Some(pb::Position { line: last, character: 0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_tells_its_time() {
        let commit =
            b"tree 1\nauthor A <a@b> 100 +0000\ncommitter B C <b@c> 200 +0100\n\ncommitter x 3 y\n";
        assert_eq!(committed_at(commit), Some(200));
        assert_eq!(committed_at(b""), None);
    }
}
