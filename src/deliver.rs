//! What a build returns: images, or files about them.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::evidence::{self, Evidence};
use crate::failure::Failure;
use crate::gateway::{Gateway, Ref, SolvedTree, Trees};
use crate::llb::{Display, Output, combine, file};
use crate::policy;
use crate::request::{Request, Target};
use crate::result::{self, ResultImage};
use crate::subject::{OriginalAnnotations, Subject};

/// A build that has succeeded.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What to export.
    pub trees: Trees<Ref>,
    /// What exporters and the client read.
    pub metadata: BTreeMap<String, Bytes>,
}

/// What became of one subject.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The image to return.
    pub image: ResultImage,
    /// Its root filesystem; nothing if that is empty.
    pub root: Option<SolvedTree>,
    /// The root filesystem below the new layer, if there is one.
    pub before: Option<SolvedTree>,
    /// The same as the summary, as Markdown.
    pub markdown: String,
    /// The same as the summary, for programs.
    pub record: Value,
}

impl Outcome {
    /// The subject as it was, because nothing can be done with it.
    pub fn kept(request: &Request, subject: &Subject, why: &str) -> Self {
        let (name, platform) = (subject.name.as_ref(), &subject.platform);
        let (summary, markdown) = evidence::kept(name, platform, why);
        let record = evidence::kept_record(name, platform, why);
        Self::as_it_was(request, subject, summary, markdown, record)
    }

    /// The subject as it was, because there is nothing to do.
    pub fn unchanged(
        request: &Request,
        subject: &Subject,
        evidence: &Evidence<'_>,
    ) -> Result<Self, Failure> {
        policy::up_to_date(request, &evidence.summary(), evidence.skipped)?;
        Ok(Self::planned(request, subject, evidence))
    }

    /// The subject as it was, with what would be done.
    pub fn planned(request: &Request, subject: &Subject, evidence: &Evidence<'_>) -> Self {
        let (summary, markdown) = (evidence.summary(), evidence.markdown());
        Self::as_it_was(request, subject, summary, markdown, evidence.record())
    }

    fn as_it_was(
        request: &Request,
        subject: &Subject,
        summary: String,
        markdown: String,
        record: Value,
    ) -> Self {
        let image = ResultImage {
            config: subject.config.with_labels(&request.labels),
            base_config: Some(subject.base_config().to_vec()),
            platform: subject.platform.clone(),
            summary,
            // Nothing is new, so no time is clamped: the exporter would change the configuration.
            source_date_epoch: None,
        };
        Self { image, root: subject.root.clone(), before: None, markdown, record }
    }

    /// The patched subject.
    pub fn patched(
        request: &Request,
        subject: &Subject,
        evidence: &Evidence<'_>,
        root: SolvedTree,
        now: Timestamp,
    ) -> Self {
        let source_date_epoch = request.epoch_of(&subject.config);
        let seconds = source_date_epoch.unwrap_or_else(|| now.as_second());
        let created = Timestamp::from_second(seconds).unwrap_or(now);
        let image = ResultImage {
            config: subject.config.with_change(&evidence.change(created, &request.labels)),
            base_config: Some(subject.base_config().to_vec()),
            platform: subject.platform.clone(),
            summary: evidence.summary(),
            source_date_epoch,
        };
        let (markdown, record) = (evidence.markdown(), evidence.record());
        Self { image, root: Some(root), before: subject.root.clone(), markdown, record }
    }
}

/// A build whose subjects are all done.
#[derive(Clone, Debug)]
pub struct Patched {
    /// What to return.
    pub target: Target,
    /// Whether the result is an index.
    pub is_index: bool,
    /// What became of the subjects.
    pub outcomes: Vec<Outcome>,
    /// What the originals are annotated with.
    pub annotations: OriginalAnnotations,
    /// What the Dockerfile's frontend says about its result.
    pub metadata: BTreeMap<String, Bytes>,
}

/// Returns what is wanted from a build.
pub async fn deliver(gateway: &impl Gateway, patched: Patched) -> Result<Finished, Failure> {
    let Patched { target, is_index, outcomes, annotations: found, metadata: inner } = patched;
    let trees = try_join_all(outcomes.iter().map(|outcome| tree(gateway, target, outcome))).await?;
    let images: Vec<ResultImage> =
        outcomes.into_iter().map(|outcome| image(target, outcome)).collect();
    let mut metadata = result::metadata(&images, is_index, note_on(target));
    if target == Target::Image {
        metadata.extend(annotations(&found, is_index));
        metadata.extend(inner);
    }
    let names = images.iter().map(|image| image.platform.to_string());
    let trees = if is_index {
        Trees::Index(names.zip(trees).collect())
    } else {
        Trees::Single(trees.into_iter().next().flatten())
    };
    Ok(Finished { trees, metadata })
}

/// What the summary ends with where the result is no image, lest a tag is taken for one.
fn note_on(target: Target) -> &'static str {
    match target {
        Target::Image | Target::Check => "",
        Target::Report => "the result is the report's files, not an image",
        Target::Plan => "the result is the plan's files, not an image; nothing is changed",
        Target::Layer => "the result is the files of the patch layer, not an image",
    }
}

/// The tree to return for an image; nothing if it is empty.
async fn tree(
    gateway: &impl Gateway,
    target: Target,
    outcome: &Outcome,
) -> Result<Option<Ref>, Failure> {
    let output = match target {
        Target::Image => return Ok(outcome.root.as_ref().map(|root| root.reading.clone())),
        Target::Report | Target::Plan => Some(files(outcome)),
        Target::Check => None,
        Target::Layer => match (&outcome.before, &outcome.root) {
            (Some(before), Some(after)) => {
                let display = Display::named("take the patch layer alone");
                combine::diff(Some(&before.output), Some(&after.output), &display)
            }
            _ => None,
        },
    };
    match output {
        Some(output) => Ok(Some(gateway.solve(&output).await?)),
        None => Ok(None),
    }
}

/// The files about an image.
fn files(outcome: &Outcome) -> Output {
    let file = |path: &str, data: Vec<u8>| file::Action::MakeFile {
        path: path.to_owned(),
        mode: 0o644,
        data: data.into(),
    };
    let actions = [
        file("/patch.json", evidence::join_records(std::slice::from_ref(&outcome.record))),
        file("/summary.md", outcome.markdown.clone().into_bytes()),
    ];
    file::apply(None, &actions, &Display::named("[internal] write the report"))
}

/// The image to return; files have a configuration that says no more than what they are about.
fn image(target: Target, outcome: Outcome) -> ResultImage {
    let image = outcome.image;
    if target == Target::Image {
        return image;
    }
    let mut config = json!(image.platform);
    if let Value::Object(fields) = &mut config {
        fields.insert("config".to_owned(), json!({}));
        fields.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": [] }));
    }
    ResultImage { config: config.to_string().into_bytes(), base_config: None, ..image }
}

/// The annotations of the originals, as exporters want them (`exporter/containerimage/exptypes/annotations.go`).
fn annotations(found: &OriginalAnnotations, is_index: bool) -> BTreeMap<String, Bytes> {
    let manifests = found.manifests.iter().flat_map(|(platform, annotations)| {
        let place = if is_index { format!("[{platform}]") } else { String::new() };
        annotations
            .iter()
            .map(move |(key, value)| (format!("annotation-manifest{place}.{key}"), value))
    });
    let index = found.index.iter().filter(|_| is_index);
    let index = index.map(|(key, value)| (format!("annotation-index.{key}"), value));
    manifests.chain(index).map(|(key, value)| (key, Bytes::from(value.clone()))).collect()
}
