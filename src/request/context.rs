//! Named contexts: `--build-context NAME=…`, bake's `contexts`.
//!
//! They arrive as options `context:<name>` holding `<scheme>:<rest>`; for one platform as
//! `context:<name>::<platform>`.

use base64::Engine as _;

use crate::llb::source::{Git, OciLayout};
use crate::platform::Platform;
use crate::reference::ImageReference;

use super::environment::Environment;

/// Where a tree comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Context {
    /// A directory of the client, by the name it has in the session.
    Local(String),
    /// An image by name.
    Image(ImageReference),
    /// An image in a layout of the client.
    OciLayout(OciLayout),
    /// A tree that the client had built, by the name of the input; with its image configuration.
    Input(String, Option<Vec<u8>>),
    /// A file on a web server, alone in its tree under the name `context`.
    Http(String),
    /// A revision of a Git repository.
    Git(Git),
}

/// Why a named context cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// The value does not follow its scheme.
    #[error("named context `{name}` is malformed: {value}")]
    Malformed {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
}

/// The named context `name`, if the client gave one.
pub fn named(
    environment: &Environment,
    name: &str,
    platform: Option<&Platform>,
) -> Result<Option<Context>, ContextError> {
    let for_platform =
        platform.and_then(|platform| environment.option(&format!("context:{name}::{platform}")));
    let Some(value) = for_platform.or_else(|| environment.option(&format!("context:{name}")))
    else {
        return Ok(None);
    };
    let malformed = || ContextError::Malformed { name: name.to_owned(), value: value.to_owned() };
    let (scheme, rest) = value.split_once(':').ok_or_else(malformed)?;
    let context = match scheme {
        "local" => Context::Local(rest.to_owned()),
        "docker-image" => {
            let reference = rest.trim_start_matches("//").parse().map_err(|_| malformed())?;
            Context::Image(reference)
        }
        "oci-layout" => {
            let layout = rest.trim_start_matches("//");
            let (store, digest) = layout.rsplit_once('@').ok_or_else(malformed)?;
            // A tag says which manifest was meant; the digest already decides.
            let store = store.split_once(':').map_or(store, |(store, _)| store);
            // The daemon reads the name as an image reference, and only in its complete form.
            let shown: ImageReference = name.parse().map_err(|_| malformed())?;
            Context::OciLayout(OciLayout {
                name: format!("{}/{}", shown.domain(), shown.path()),
                digest: digest.parse().map_err(|_| malformed())?,
                store: store.to_owned(),
                session: environment.session.clone(),
            })
        }
        "input" => Context::Input(rest.to_owned(), input_config(environment, rest)),
        _ => remote(value).ok_or_else(malformed)?,
    };
    Ok(Some(context))
}

/// What an address stands for; nothing if it is not one.
///
/// Decides as the Dockerfile frontend does (`frontend/dockerui/context.go`): a web address `….git` is a repository.
pub fn remote(address: &str) -> Option<Context> {
    let (before, fragment) = match address.split_once('#') {
        Some((before, fragment)) => (before, fragment),
        None => (address, ""),
    };
    let (repository, query) = before.split_once('?').unwrap_or((before, ""));
    let is_web = ["http://", "https://"].iter().any(|scheme| repository.starts_with(scheme));
    let is_ssh = repository.starts_with("ssh://") || repository.starts_with("git@");
    if !(is_ssh || repository.starts_with("git://") || is_web && repository.ends_with(".git")) {
        return is_web.then(|| Context::Http(address.to_owned()));
    }
    let (revision, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
    let mut git = Git {
        repository: repository.to_owned(),
        revision: revision.to_owned(),
        folder: folder.trim_matches('/').to_owned(),
        with_ssh_agent: is_ssh,
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=')? {
            ("ref" | "checksum" | "commit", value) => value.clone_into(&mut git.revision),
            ("tag", value) => git.revision = format!("refs/tags/{value}"),
            ("branch", value) => git.revision = format!("refs/heads/{value}"),
            ("subdir", value) => value.trim_matches('/').clone_into(&mut git.folder),
            ("keep-git-dir" | "submodules", _) => {}
            _ => return None,
        }
    }
    Some(Context::Git(git))
}

/// The image configuration that came with an input, in option `input-metadata:<input>`.
fn input_config(environment: &Environment, input: &str) -> Option<Vec<u8>> {
    let metadata = environment.option(&format!("input-metadata:{input}"))?;
    let metadata: std::collections::BTreeMap<String, String> =
        serde_json::from_str(metadata).ok()?;
    base64::engine::general_purpose::STANDARD.decode(metadata.get("containerimage.config")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Option<Context>, ContextError> {
        let variables = [("BUILDKIT_FRONTEND_OPT_0".to_owned(), format!("context:image={value}"))];
        named(&Environment::from_variables(variables.into_iter()), "image", None)
    }

    #[test]
    fn every_scheme_is_read() {
        assert_eq!(parse("local:x"), Ok(Some(Context::Local("x".to_owned()))));
        assert!(matches!(parse("docker-image://alpine"), Ok(Some(Context::Image(_)))));
        let digest = format!("sha256:{}", "0".repeat(64));
        let Ok(Some(Context::OciLayout(layout))) =
            parse(&format!("oci-layout://store:tag@{digest}"))
        else {
            panic!("no layout");
        };
        assert_eq!((layout.store.as_str(), layout.digest.as_str()), ("store", digest.as_str()));
        assert!(matches!(parse("https://example.org/a.json"), Ok(Some(Context::Http(_)))));
        for (text, repository, revision, folder) in [
            ("https://example.org/a.git#x:b/c", "https://example.org/a.git", "x", "b/c"),
            (
                "https://example.org/a.git?tag=1&subdir=b",
                "https://example.org/a.git",
                "refs/tags/1",
                "b",
            ),
            ("git://x/y", "git://x/y", "", ""),
            ("git@example.org:a/b.git#main", "git@example.org:a/b.git", "main", ""),
        ] {
            let Ok(Some(Context::Git(git))) = parse(text) else { panic!("{text}") };
            let found = (git.repository.as_str(), git.revision.as_str(), git.folder.as_str());
            assert_eq!(found, (repository, revision, folder), "{text}");
        }
        assert!(matches!(
            parse("https://example.org/a.git?x=1"),
            Err(ContextError::Malformed { .. })
        ));
        assert!(matches!(parse("oci-layout://store"), Err(ContextError::Malformed { .. })));
        assert!(matches!(parse("ftp://x"), Err(ContextError::Malformed { .. })));
        assert!(matches!(parse("docker-image://A B"), Err(ContextError::Malformed { .. })));
    }
}
