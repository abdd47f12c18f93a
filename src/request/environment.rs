//! What the daemon hands to a frontend through the process's environment.
//!
//! Every option is one variable `BUILDKIT_FRONTEND_OPT_<n>` holding `key=value`, numbered in
//! random order.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Everything that a build depends on and that is not read through the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Options by key, such as `build-arg:IMAGE`.
    pub options: BTreeMap<String, String>,
    /// The client's session, which local directories are read from.
    pub session: String,
    /// When the build began.
    pub now: Timestamp,
    /// The build graph of the frontend's own image, as the daemon hands it out.
    pub own_image: Option<Vec<u8>>,
}

/// Where the daemon (0.10 and later) puts the build graph of the frontend's image.
const OWN_IMAGE: &str = "/run/config/buildkit/metadata/frontend.bin";

impl Environment {
    /// The environment of this process.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one reader of the environment and the clock"
    )]
    pub fn of_process() -> Self {
        Self::from_variables(
            std::env::vars_os().filter_map(|(key, value)| {
                Some((key.into_string().ok()?, value.into_string().ok()?))
            }),
        )
        .at(Timestamp::now())
        .with_own_image(std::fs::read(OWN_IMAGE).ok())
    }

    /// The environment that these variables describe, at the epoch.
    pub fn from_variables(variables: impl Iterator<Item = (String, String)>) -> Self {
        let mut environment = Self {
            options: BTreeMap::new(),
            session: String::new(),
            now: Timestamp::UNIX_EPOCH,
            own_image: None,
        };
        for (name, value) in variables {
            if name == "BUILDKIT_SESSION_ID" {
                environment.session = value;
            } else if name.starts_with("BUILDKIT_FRONTEND_OPT_")
                && let Some((key, value)) = value.split_once('=')
            {
                environment.options.insert(key.to_owned(), value.to_owned());
            }
        }
        environment
    }

    /// The same environment at another time.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// The same environment with this build graph of the frontend's image.
    #[must_use]
    pub fn with_own_image(self, own_image: Option<Vec<u8>>) -> Self {
        Self { own_image, ..self }
    }

    /// The value of an option of the daemon, if it was given.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_split_at_the_first_equals_sign() {
        let variables = [
            ("BUILDKIT_FRONTEND_OPT_1", "build-arg:IMAGE=a=b"),
            ("BUILDKIT_FRONTEND_OPT_0", "no-cache="),
            ("BUILDKIT_SESSION_ID", "s"),
            ("PATH", "/bin"),
        ];
        let environment = Environment::from_variables(
            variables.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        assert_eq!(environment.option("build-arg:IMAGE"), Some("a=b"));
        assert_eq!(environment.option("no-cache"), Some(""));
        assert_eq!(environment.options.len(), 2);
        assert_eq!(environment.session, "s");
    }
}
