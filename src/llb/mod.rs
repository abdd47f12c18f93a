//! Build graphs: operations as owned values, and their bytes.
//!
//! An [`Output`] names one result of one operation. Operations are made bottom-up from the outputs
//! they use, so a graph has no cycles, and the same values always give the same bytes. The
//! format is `BuildKit`'s `ops.proto`; an operation is addressed by the SHA-256 of its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use crate::digest::Digest;
use crate::pb;
use crate::platform::Platform;

pub mod capability;
pub mod combine;
pub mod exec;
pub mod file;
pub mod source;
pub mod text;

use capability::{Capabilities, MissingCapability};

/// One result of an operation, to build upon. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Output {
    vertex: Arc<Vertex>,
    index: i64,
}

/// An operation with its bytes.
#[derive(Debug)]
struct Vertex {
    bytes: Bytes,
    digest: Digest,
    inputs: Vec<Arc<Self>>,
    metadata: pb::OpMetadata,
    /// The lines that it was made from, when it was received with them.
    lines: Vec<Lines>,
}

/// Lines of a file from which an operation was made.
#[derive(Clone, Debug)]
struct Lines {
    file: Arc<pb::SourceInfo>,
    ranges: Vec<pb::Range>,
}

/// Whether a cached result of an operation may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caching {
    /// As `BuildKit` does by default.
    #[default]
    Allowed,
    /// Run again, whatever is cached.
    Ignored,
}

/// How an operation appears to the user and to the cache; not part of its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Display {
    /// The line in the progress output.
    pub name: String,
    /// Whether a cached result may be used.
    pub caching: Caching,
}

impl Display {
    /// A progress line; cached results are used.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), caching: Caching::Allowed }
    }
}

/// A definition received from the daemon that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// An operation's bytes are not an operation.
    #[error("operation {0} of a received build graph cannot be decoded")]
    Undecodable(usize),
    /// The operations do not lead from leaves to one last operation.
    #[error("a received build graph is incomplete: operation {0} is missing")]
    Incomplete(String),
}

/// Key of the description that progress output shows (Dockerfile convention).
const CUSTOM_NAME: &str = "llb.customname";

impl Output {
    /// Makes an operation; `capabilities` are the ids the daemon must announce for it.
    fn make(
        op: pb::op::Op,
        inputs: &Inputs,
        platform: Option<&Platform>,
        display: &Display,
        capabilities: &[&str],
    ) -> Arc<Vertex> {
        let op = pb::Op {
            inputs: inputs.0.iter().map(Self::input).collect(),
            platform: platform.map(platform_message),
            // Go's client always writes this message; without it an equal step of a Dockerfile
            // would have another digest.
            constraints: Some(pb::WorkerConstraints::default()),
            op: Some(op),
        };
        let bytes = Bytes::from(op.encode_to_vec());
        let ignore_cache = display.caching == Caching::Ignored;
        let mut caps: BTreeMap<String, bool> =
            capabilities.iter().map(|id| ((*id).to_owned(), true)).collect();
        let mut description = BTreeMap::new();
        if !display.name.is_empty() {
            description.insert(CUSTOM_NAME.to_owned(), display.name.clone());
            caps.insert("meta.description".to_owned(), true);
        }
        if ignore_cache {
            caps.insert("meta.ignorecache".to_owned(), true);
        }
        Arc::new(Vertex {
            digest: Digest::of(&bytes),
            bytes,
            inputs: inputs.0.iter().map(|output| Arc::clone(&output.vertex)).collect(),
            metadata: pb::OpMetadata { ignore_cache, description, caps, ..Default::default() },
            lines: Vec::new(),
        })
    }

    fn input(&self) -> pb::Input {
        pb::Input { digest: self.vertex.digest.as_str().to_owned(), index: self.index }
    }

    /// Digest of the operation, by which the daemon and warnings name it.
    pub fn digest(&self) -> &Digest {
        &self.vertex.digest
    }

    /// The graph that leads to this output, checked against what the daemon can do.
    pub fn definition(&self, known: &Capabilities) -> Result<pb::Definition, MissingCapability> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        visit(&self.vertex, &mut seen, &mut order);
        for vertex in &order {
            for id in vertex.metadata.caps.keys() {
                known.require(id)?;
            }
        }
        let last = pb::Op { inputs: vec![self.input()], ..Default::default() }.encode_to_vec();
        let last = Bytes::from(last);
        let mut metadata: BTreeMap<String, pb::OpMetadata> = order
            .iter()
            .map(|vertex| (vertex.digest.as_str().to_owned(), vertex.metadata.clone()))
            .collect();
        let caps = [("constraints", true), ("platform", true)];
        metadata.insert(
            Digest::of(&last).as_str().to_owned(),
            pb::OpMetadata {
                caps: caps.map(|(id, value)| (id.to_owned(), value)).into(),
                ..Default::default()
            },
        );
        let mut def: Vec<Bytes> = order.iter().map(|vertex| vertex.bytes.clone()).collect();
        def.push(last);
        Ok(pb::Definition { def, metadata, source: source_of(&order) })
    }

    /// The output that a received definition leads to; `None` when it stands for an empty tree.
    ///
    /// The operations' bytes are kept as they came: they may hold fields unknown to us.
    pub fn from_definition(definition: &pb::Definition) -> Result<Option<Self>, DefinitionError> {
        let Some((last, operations)) = definition.def.split_last() else { return Ok(None) };
        let mut known: BTreeMap<String, Arc<Vertex>> = BTreeMap::new();
        let mut lines = definition.source.as_ref().map(lines_of).unwrap_or_default();
        let mut waiting = Vec::new();
        for (position, bytes) in operations.iter().enumerate() {
            let op = decode_inputs(bytes, position)?;
            waiting.push((bytes, op));
        }
        // Inputs come before their users by convention only, hence the rounds.
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|(bytes, inputs)| {
                let found: Option<Vec<Arc<Vertex>>> =
                    inputs.iter().map(|input| known.get(&input.digest).cloned()).collect();
                let Some(inputs) = found else { return true };
                let digest = Digest::of(bytes);
                let metadata = definition.metadata.get(digest.as_str()).cloned();
                known.insert(
                    digest.as_str().to_owned(),
                    Arc::new(Vertex {
                        bytes: (*bytes).clone(),
                        inputs,
                        metadata: metadata.unwrap_or_default(),
                        lines: lines.remove(digest.as_str()).unwrap_or_default(),
                        digest,
                    }),
                );
                false
            });
            if waiting.len() == before {
                let missing = waiting
                    .iter()
                    .flat_map(|(_, inputs)| inputs)
                    .find(|input| !known.contains_key(&input.digest))
                    .map_or_else(String::new, |input| input.digest.clone());
                return Err(DefinitionError::Incomplete(missing));
            }
        }
        let inputs = decode_inputs(last, operations.len())?;
        let Some(input) = inputs.first() else { return Ok(None) };
        let vertex = known
            .get(&input.digest)
            .ok_or_else(|| DefinitionError::Incomplete(input.digest.clone()))?;
        Ok(Some(Self { vertex: Arc::clone(vertex), index: input.index }))
    }

    /// Like [`Self::from_definition`], from the bytes of a definition.
    pub fn from_definition_bytes(bytes: &[u8]) -> Result<Option<Self>, DefinitionError> {
        let definition =
            pb::Definition::decode(bytes).map_err(|_| DefinitionError::Undecodable(0))?;
        Self::from_definition(&definition)
    }
}

/// The lines of a received definition, by its operations' digests.
fn lines_of(source: &pb::Source) -> BTreeMap<String, Vec<Lines>> {
    let files: Vec<Arc<pb::SourceInfo>> = source.infos.iter().cloned().map(Arc::new).collect();
    let lines = |location: &pb::Location| {
        let file = files.get(usize::try_from(location.source_index).ok()?)?;
        Some(Lines { file: Arc::clone(file), ranges: location.ranges.clone() })
    };
    let locations = source.locations.iter();
    locations
        .map(|(digest, all)| (digest.clone(), all.locations.iter().filter_map(lines).collect()))
        .collect()
}

/// The files and lines of these operations; nothing if none has any.
fn source_of(order: &[Arc<Vertex>]) -> Option<pb::Source> {
    let mut files: Vec<Arc<pb::SourceInfo>> = Vec::new();
    let mut locations = BTreeMap::new();
    for vertex in order.iter().filter(|vertex| !vertex.lines.is_empty()) {
        let of_vertex = vertex.lines.iter().map(|Lines { file, ranges }| {
            let known = files.iter().position(|other| Arc::ptr_eq(other, file) || other == file);
            let index = known.unwrap_or_else(|| {
                files.push(Arc::clone(file));
                files.len() - 1
            });
            let source_index = i32::try_from(index).unwrap_or(i32::MAX);
            pb::Location { source_index, ranges: ranges.clone() }
        });
        let of_vertex = pb::Locations { locations: of_vertex.collect() };
        locations.insert(vertex.digest.as_str().to_owned(), of_vertex);
    }
    let infos = files.into_iter().map(Arc::unwrap_or_clone).collect();
    (!locations.is_empty()).then_some(pb::Source { locations, infos })
}

fn decode_inputs(bytes: &Bytes, position: usize) -> Result<Vec<pb::Input>, DefinitionError> {
    pb::Op::decode(bytes.clone())
        .map(|op| op.inputs)
        .map_err(|_| DefinitionError::Undecodable(position))
}

/// Depth first, inputs before users, each operation once.
fn visit(vertex: &Arc<Vertex>, seen: &mut BTreeSet<Digest>, order: &mut Vec<Arc<Vertex>>) {
    let mut stack = vec![(Arc::clone(vertex), false)];
    while let Some((vertex, inputs_done)) = stack.pop() {
        if inputs_done {
            order.push(vertex);
        } else if seen.insert(vertex.digest.clone()) {
            let inputs = vertex.inputs.clone();
            stack.push((vertex, true));
            stack.extend(inputs.into_iter().rev().map(|input| (input, false)));
        }
    }
}

/// The distinct inputs of an operation under construction, by which its parts name them.
#[derive(Debug, Default)]
struct Inputs(Vec<Output>);

/// Index that stands for an empty tree as input, and for no output.
const EMPTY: i64 = -1;

impl Inputs {
    /// The number of this input, which is added when it is new.
    fn number(&mut self, output: &Output) -> i64 {
        let same = |known: &Output| {
            known.vertex.digest == output.vertex.digest && known.index == output.index
        };
        let position = self.0.iter().position(same).unwrap_or_else(|| {
            self.0.push(output.clone());
            self.0.len() - 1
        });
        i64::try_from(position).unwrap_or(i64::MAX)
    }

    /// Like [`Self::number`], where nothing means an empty tree.
    fn number_or_empty(&mut self, output: Option<&Output>) -> i64 {
        output.map_or(EMPTY, |output| self.number(output))
    }
}

/// A platform as the wire has it.
pub(crate) fn platform_message(platform: &Platform) -> pb::Platform {
    pb::Platform {
        architecture: platform.architecture().to_owned(),
        os: platform.os().to_owned(),
        variant: platform.variant().to_owned(),
        os_version: platform.os_version().to_owned(),
        os_features: platform.os_features().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Output {
        source::Local::named("context", "session").build(&Display::default())
    }

    fn two_files() -> Output {
        let first = file::make_file(None, "/a", 0o644, b"1", &Display::default());
        combine::merge(vec![source(), first, source()], &Display::named("all")).unwrap()
    }

    #[test]
    fn equal_values_give_equal_bytes_and_each_operation_stands_once() {
        let all = Capabilities::everything();
        let definition = two_files().definition(&all).unwrap();
        assert_eq!(definition, two_files().definition(&all).unwrap());
        assert_eq!(definition.def.len(), 4, "local, mkfile, merge, last");
        for bytes in &definition.def {
            assert!(definition.metadata.contains_key(Digest::of(bytes).as_str()));
        }
    }

    #[test]
    fn a_received_definition_keeps_its_bytes() {
        let all = Capabilities::everything();
        let sent = two_files().definition(&all).unwrap();
        let mut shuffled = sent.clone();
        let operations = shuffled.def.len() - 1;
        shuffled.def[..operations].reverse();
        let received = Output::from_definition(&shuffled).unwrap().unwrap();
        assert_eq!(received.definition(&all).unwrap(), sent);
        assert!(Output::from_definition(&pb::Definition::default()).unwrap().is_none());
    }

    #[test]
    fn an_incomplete_definition_is_an_error() {
        let mut definition = two_files().definition(&Capabilities::everything()).unwrap();
        definition.def.remove(0);
        assert!(matches!(
            Output::from_definition(&definition),
            Err(DefinitionError::Incomplete(_))
        ));
        definition.def.insert(0, Bytes::from_static(b"\xff\xff"));
        assert!(matches!(
            Output::from_definition(&definition),
            Err(DefinitionError::Undecodable(0))
        ));
    }

    #[test]
    fn a_capability_the_daemon_lacks_is_named() {
        let few = Capabilities::new([("source.local", true, "")]);
        let error = two_files().definition(&few).unwrap_err();
        assert_eq!(error.capability, "source.local.sessionid");
    }
}
