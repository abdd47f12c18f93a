//! From what was given to a request: looks options up, checks them, collects every mistake.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::Code;
use crate::llb::Caching;
use crate::llb::exec::{Network, Proxy, Sandbox, Ulimit};
use crate::llb::source::ResolveMode;
use crate::package::NamePattern;
use crate::platform::Platform;
use crate::report::ReportFormat;

use super::build_file::{self, BuildFile};
use super::context::{self, Context, ContextError};
use super::environment::Environment;
use super::option::{self, Key, Row, Values};
use super::{
    CacheImport, ImageInput, OnEndOfLife, OnUnmet, OnUnreachable, OnUpToDate, Problem, Refresh,
    ReportLocation, Request, Understood, Wanted, WantedPackage,
};

/// Build arguments that belong to Docker or `BuildKit` and not to us.
const FOREIGN_PREFIXES: &[&str] = &["BUILDKIT_", "BUILDX_", "DOCKER_", "BAKE_"];

/// Proxy settings, which every Dockerfile knows without declaring them.
const PROXIES: &[&str] = &["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// Checks what was given; every mistake is in the list that comes back.
pub fn understand(
    environment: &Environment,
    build_file: &BuildFile,
) -> Result<Understood, Vec<Problem>> {
    let mut reader = Reader::new(environment, build_file);
    reader.refuse_other_instructions();
    reader.refuse_unknown_names();
    reader.refuse_what_is_not_there_yet();
    reader.problems.extend(cache_imports(environment).err());
    let platform = reader.platform();
    let image = reader.image(platform.as_ref());
    let wanted = reader.wanted();
    let exclude = reader.names(Key::Exclude);
    let on_unmet = reader.choice(
        Key::OnUnmet,
        &[("fail", OnUnmet::Fail), ("warn", OnUnmet::Warn)],
        OnUnmet::Fail,
    );
    let on_unreachable = reader.choice(
        Key::OnUnreachable,
        &[("fail", OnUnreachable::Fail), ("warn", OnUnreachable::Warn)],
        OnUnreachable::Fail,
    );
    let on_up_to_date = reader.choice(
        Key::OnUpToDate,
        &[("keep", OnUpToDate::Keep), ("fail", OnUpToDate::Fail)],
        OnUpToDate::Keep,
    );
    let on_end_of_life = reader.choice(
        Key::OnEol,
        &[
            ("warn", OnEndOfLife::Warn),
            ("fail", OnEndOfLife::Fail),
            ("ignore", OnEndOfLife::Ignore),
        ],
        OnEndOfLife::Warn,
    );
    let source_date_epoch = reader.parsed(Key::SourceDateEpoch);
    let (Some(image), true) = (image, reader.problems.is_empty()) else {
        reader.problems.sort_by_key(|problem| problem.line);
        return Err(reader.problems);
    };
    let request = Request {
        image,
        wanted,
        exclude,
        on_unmet,
        on_unreachable,
        on_up_to_date,
        on_end_of_life,
        refresh: match reader.text(Key::Refresh).as_str() {
            "auto" => Refresh::Auto,
            "always" => Refresh::Always,
            "never" => Refresh::Never,
            key => Refresh::Key(key.to_owned()),
        },
        source_date_epoch,
        platform,
        resolve_mode: match environment.option("image-resolve-mode") {
            Some("pull") => ResolveMode::Pull,
            Some("local") => ResolveMode::PreferLocal,
            _ => ResolveMode::Default,
        },
        // The value names stages of a Dockerfile; ours has one, the result.
        caching: match environment.option("no-cache") {
            Some(stages) if stages.is_empty() || stages.split(',').any(|one| one == "image") => {
                Caching::Ignored
            }
            _ => Caching::Allowed,
        },
        network: match environment.option("force-network-mode") {
            Some("host") => Network::Host,
            _ => Network::Sandbox,
        },
        sandbox: reader.sandbox(),
        labels: environment
            .options
            .iter()
            .filter_map(|(key, value)| {
                Some((key.strip_prefix("label:")?.to_owned(), value.clone()))
            })
            .collect(),
        cache_namespace: environment
            .option("build-arg:BUILDKIT_CACHE_MOUNT_NS")
            .map(ToOwned::to_owned),
    };
    Ok(Understood { request, notices: reader.notices })
}

/// A value with where it was given.
#[derive(Clone, Debug)]
struct Given {
    value: String,
    line: Option<usize>,
}

struct Reader<'a> {
    environment: &'a Environment,
    build_file: &'a BuildFile,
    given: BTreeMap<Key, Given>,
    used_by_defaults: BTreeSet<String>,
    problems: Vec<Problem>,
    notices: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(environment: &'a Environment, build_file: &'a BuildFile) -> Self {
        let mut reader = Self {
            environment,
            build_file,
            given: BTreeMap::new(),
            used_by_defaults: BTreeSet::new(),
            problems: Vec::new(),
            notices: Vec::new(),
        };
        let arguments: build_file::Values = environment
            .options
            .iter()
            .filter_map(|(key, value)| {
                Some((key.strip_prefix("build-arg:")?.to_owned(), value.clone()))
            })
            .collect();
        let in_file = match build_file.values(&arguments) {
            Ok((values, used)) => {
                reader.used_by_defaults = used;
                values
            }
            Err(error) => {
                reader.problem(Code::BuildFile, error.problem, None, Some(error.line));
                build_file::Values::new()
            }
        };
        for row in option::TABLE {
            if let Some(given) = reader.look_up(row, &arguments, &in_file) {
                reader.given.insert(row.key, given);
            }
        }
        reader
    }

    /// A build argument wins over a plain option, that over the build file; at each place our
    /// own name wins over the peer's.
    fn look_up(
        &self,
        row: &Row,
        arguments: &build_file::Values,
        in_file: &build_file::Values,
    ) -> Option<Given> {
        let no_values = build_file::Values::new();
        let alias = row.alias.as_ref();
        for (place, is_file) in
            [(arguments, false), (&self.environment.options, false), (in_file, true)]
        {
            let own = if std::ptr::eq(place, &raw const self.environment.options) {
                &no_values
            } else {
                place
            };
            let other = alias.and_then(|alias| {
                let value = place.get(alias.name)?;
                let known = alias.words.iter().find(|(there, _)| there == value);
                Some((alias.name, known.map_or(value.clone(), |(_, here)| (*here).to_owned())))
            });
            let found = own.get(row.name).map(|value| (row.name, value.clone())).or(other);
            if let Some((name, value)) = found.filter(|(_, value)| !value.is_empty()) {
                let line = if is_file { self.build_file.line_of(name) } else { None };
                return Some(Given { value, line });
            }
        }
        None
    }

    fn problem(&mut self, code: Code, message: String, hint: Option<String>, line: Option<usize>) {
        self.problems.push(Problem { code, message, hint, line });
    }

    fn not_yet(&mut self, what: String, line: Option<usize>) {
        self.problem(Code::NotYet, what, None, line);
    }

    fn refuse_other_instructions(&mut self) {
        let Some((instruction, line)) = self.build_file.other_instruction.clone() else { return };
        if instruction == "FROM" {
            let what = "building a Dockerfile and patching its result is not supported yet";
            self.not_yet(what.to_owned(), Some(line));
        } else {
            let message =
                format!("`{instruction}` in a patch Dockerfile, which has comments and `ARG` only");
            self.problem(Code::BuildFile, message, None, Some(line));
        }
    }

    fn refuse_unknown_names(&mut self) {
        for argument in &self.build_file.arguments {
            let name = &argument.name;
            if option::find(name).is_some()
                || self.used_by_defaults.contains(name)
                || is_foreign(name)
            {
                continue;
            }
            let (message, hint) = unknown(name);
            let line = Some(argument.line);
            self.problems.push(Problem { code: Code::UnknownOption, message, hint, line });
        }
        for key in self.environment.options.keys() {
            let Some(name) = key.strip_prefix("build-arg:") else { continue };
            if option::find(name).is_some()
                || is_foreign(name)
                || self.build_file.line_of(name).is_some()
            {
                continue;
            }
            if option::nearest(name).is_some() {
                let (message, hint) = unknown(name);
                self.problems.push(Problem {
                    code: Code::UnknownOption,
                    message,
                    hint,
                    line: None,
                });
            } else {
                // Fleets pass one set of build arguments to all their builds.
                self.notices.push(Problem {
                    code: Code::UnusedBuildArgument,
                    message: format!("build argument `{name}` is not used"),
                    hint: None,
                    line: None,
                });
            }
        }
    }

    fn refuse_what_is_not_there_yet(&mut self) {
        if let Some(target) = self.environment.option("target").filter(|it| !it.is_empty()) {
            match target {
                "image" => {}
                "report" | "plan" | "layer" => {
                    self.not_yet(format!("target `{target}` is not supported yet"), None);
                }
                _ => self.problem(
                    Code::OptionValue,
                    format!("no such target: {target}"),
                    Some("the target is `image`".to_owned()),
                    None,
                ),
            }
        }
        if self.environment.option("multi-platform").is_some_and(is_true)
            || self.environment.option("build-arg:BUILDKIT_MULTI_PLATFORM").is_some_and(is_true)
        {
            self.not_yet("a multi-platform result is not supported yet".to_owned(), None);
        }
        if self.environment.option("force-network-mode") == Some("none") {
            let hint =
                "the network is for fetching alone; the step that changes the image has none";
            self.problem(
                Code::OptionValue,
                "without a network nothing can be fetched: --network=none".to_owned(),
                Some(hint.to_owned()),
                None,
            );
        }
        if self.given.contains_key(&Key::ToolsImage) {
            let line = self.line(Key::ToolsImage);
            self.not_yet("images without a package manager are not supported yet".to_owned(), line);
        }
        let line = self.line(Key::PkgTypes);
        let kinds = self.text(Key::PkgTypes);
        for kind in kinds.split(',').map(str::trim) {
            match kind {
                "os" => {}
                "library" => {
                    self.not_yet("patching libraries is not supported yet".to_owned(), line);
                }
                other => self.bad_value(Key::PkgTypes, other),
            }
        }
        self.choice(Key::LibraryPatchLevel, &[("patch", ()), ("minor", ()), ("major", ())], ());
    }

    fn line(&self, key: Key) -> Option<usize> {
        self.given.get(&key).and_then(|given| given.line)
    }

    /// The value that was given, else the default.
    fn text(&self, key: Key) -> String {
        self.given.get(&key).map_or_else(
            || row(key).map_or("", |row| row.default).to_owned(),
            |given| given.value.clone(),
        )
    }

    fn bad_value(&mut self, key: Key, value: &str) {
        let line = self.line(key);
        let Some(row) = row(key) else { return };
        let expected = match row.values {
            Values::Words(_) | Values::SomeOf(_) => "one of ",
            Values::Text(_) => "",
        };
        let message = format!("`{}` cannot be: {value}", row.name);
        let hint = match row.values {
            Values::SomeOf(_) => row.values.describe(),
            Values::Words(_) | Values::Text(_) => format!("{expected}{}", row.values.describe()),
        };
        self.problem(Code::OptionValue, message, Some(format!("expected {hint}")), line);
    }

    fn choice<T: Copy>(&mut self, key: Key, words: &[(&str, T)], default: T) -> T {
        let value = self.text(key);
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return *meaning;
        }
        self.bad_value(key, &value);
        default
    }

    fn parsed<T: std::str::FromStr>(&mut self, key: Key) -> Option<T> {
        let value = self.given.get(&key)?.value.clone();
        let parsed = value.trim().parse().ok();
        if parsed.is_none() {
            self.bad_value(key, &value);
        }
        parsed
    }

    fn list(&self, key: Key) -> Vec<String> {
        self.text(key)
            .split(',')
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect()
    }

    fn names(&mut self, key: Key) -> Vec<NamePattern> {
        let mut names = Vec::new();
        for item in self.list(key) {
            match item.parse() {
                Ok(name) => names.push(name),
                Err(_) => self.bad_value(key, &item),
            }
        }
        names
    }

    fn platform(&mut self) -> Option<Platform> {
        let given = self.given.get(&Key::Platform)?.value.clone();
        if given.contains(',') {
            let line = self.line(Key::Platform);
            self.not_yet(format!("several platforms are not supported yet: {given}"), line);
            return None;
        }
        self.parsed(Key::Platform)
    }

    fn context(&mut self, name: &str, platform: Option<&Platform>) -> Option<Context> {
        match context::named(self.environment, name, platform) {
            Ok(context) => context,
            Err(error) => {
                let code = match error {
                    ContextError::Malformed { .. } => Code::OptionValue,
                    ContextError::Git { .. } => Code::NotYet,
                };
                self.problem(code, error.to_string(), None, None);
                None
            }
        }
    }

    fn image(&mut self, platform: Option<&Platform>) -> Option<ImageInput> {
        let before = self.problems.len();
        match self.context("image", platform) {
            Some(Context::Image(reference)) => return Some(ImageInput::Named(reference)),
            Some(context @ (Context::OciLayout(_) | Context::Input(..))) => {
                return Some(ImageInput::Context(context));
            }
            Some(Context::Local(_) | Context::Http(_)) => {
                let message = "named context `image` is a folder or a file, not an image";
                let hint = "give it as docker-image://, oci-layout:// or target:";
                self.problem(Code::OptionValue, message.to_owned(), Some(hint.to_owned()), None);
                return None;
            }
            None if self.problems.len() > before => return None,
            None => {}
        }
        let line = self.line(Key::Image);
        let Some(Given { value, .. }) = self.given.get(&Key::Image).cloned() else {
            let line = self.build_file.line_of("IMAGE");
            let hint = "pass --build-arg IMAGE=name:tag, or write ARG IMAGE=name:tag \
                        into the patch Dockerfile";
            let message = "no image to patch: `IMAGE` is not set".to_owned();
            self.problem(Code::NoImage, message, Some(hint.to_owned()), line);
            return None;
        };
        match value.parse() {
            Ok(reference) => Some(ImageInput::Named(reference)),
            Err(error) => {
                let hint = "a reference is [registry/]name[:tag][@digest]".to_owned();
                self.problem(
                    Code::ImageReference,
                    format!("`IMAGE` is no image reference: {error}"),
                    Some(hint),
                    line,
                );
                None
            }
        }
    }

    fn wanted(&mut self) -> Wanted {
        let context = self.context("report", None);
        let path = self.given.get(&Key::Report).map(|given| given.value.clone());
        let format = self.choice(
            Key::ReportFormat,
            &[
                ("auto", ReportFormat::Auto),
                ("trivy", ReportFormat::Trivy),
                ("grype", ReportFormat::Grype),
                ("cyclonedx", ReportFormat::CycloneDx),
                ("copa", ReportFormat::Copa),
                ("sarif", ReportFormat::Sarif),
            ],
            ReportFormat::Auto,
        );
        if !matches!(format, ReportFormat::Auto | ReportFormat::Trivy) {
            let what = format!(
                "reports of format `{}` are not supported yet",
                self.text(Key::ReportFormat)
            );
            let line = self.line(Key::ReportFormat);
            self.not_yet(what, line);
        }
        let path = match (&context, path) {
            (None, None) => None,
            // A web server gives one file, whose name the protocol fixes.
            (Some(Context::Http(_)), _) => Some("context".to_owned()),
            (Some(_), None) => Some(".".to_owned()),
            (_, Some(path)) => self.report_path(&path),
        };
        if context.is_none() && path.is_some() && self.environment.option("context").is_some() {
            let line = self.line(Key::Report);
            let what = "a remote build context is not supported yet as the place of `REPORT`";
            self.not_yet(what.to_owned(), line);
        }
        let packages = self.packages();
        if path.is_none() && packages.is_empty() {
            return Wanted::Everything;
        }
        let reports = path.map(|path| ReportLocation { context, path, format });
        Wanted::Listed { reports, packages }
    }

    /// Relative to the context's root, whatever slash it begins with.
    fn report_path(&mut self, given: &str) -> Option<String> {
        let parts: Vec<&str> =
            given.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            let line = self.line(Key::Report);
            let hint = "a report lies in the build context; another folder can be given with \
                        --build-context report=FOLDER";
            self.problem(
                Code::OptionValue,
                format!("`REPORT` leads out of the build context: {given}"),
                Some(hint.to_owned()),
                line,
            );
            return None;
        }
        Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
    }

    fn packages(&mut self) -> Vec<WantedPackage> {
        let mut packages = Vec::new();
        for item in self.list(Key::Packages) {
            let (name, version) = match item.split_once('=') {
                Some((name, version)) => (name, Some(version.to_owned())),
                None => (item.as_str(), None),
            };
            match name.parse() {
                Ok(name) if version.as_deref() != Some("") => {
                    packages.push(WantedPackage { name, version });
                }
                _ => self.bad_value(Key::Packages, &item),
            }
        }
        packages
    }

    /// A number or text of `--shm-size`, `--ulimit`, `--add-host`: the client has checked them.
    fn sandbox(&self) -> Sandbox {
        let option = |key: &str| self.environment.option(key).unwrap_or_default();
        let argument = |name: &str| {
            [name.to_owned(), name.to_ascii_uppercase()].iter().find_map(|name| {
                self.environment.option(&format!("build-arg:{name}")).map(ToOwned::to_owned)
            })
        };
        let proxy = |name: &str| argument(name).unwrap_or_default();
        let hostname = self
            .environment
            .option("build-arg:BUILDKIT_SANDBOX_HOSTNAME")
            .unwrap_or_else(|| option("hostname"));
        Sandbox {
            extra_hosts: fields(option("add-hosts"))
                .iter()
                .filter_map(|field| field.split_once('='))
                .map(|(host, address)| (host.to_ascii_lowercase(), address.to_owned()))
                .collect(),
            ulimits: fields(option("ulimit"))
                .iter()
                .filter_map(|field| {
                    let (name, limits) = field.split_once('=')?;
                    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
                    let (soft, hard) = (soft.parse().ok()?, hard.parse().ok()?);
                    Some(Ulimit { name: name.to_owned(), soft, hard })
                })
                .collect(),
            hostname: hostname.to_owned(),
            cgroup_parent: option("cgroup-parent").to_owned(),
            shm_size: option("shm-size").parse().ok(),
            proxy: Proxy {
                http: proxy("http_proxy"),
                https: proxy("https_proxy"),
                ftp: proxy("ftp_proxy"),
                no_proxy: proxy("no_proxy"),
                all: proxy("all_proxy"),
            },
        }
    }
}

/// `--cache-from`: sources of cached results for every solve of the build.
pub fn cache_imports(environment: &Environment) -> Result<Vec<CacheImport>, Problem> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        r#type: String,
        attrs: BTreeMap<String, String>,
    }
    let text = environment.option("cache-imports").unwrap_or("[]");
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(|error| Problem {
        code: Code::OptionValue,
        message: format!("option `cache-imports` cannot be read: {error}"),
        hint: None,
        line: None,
    })?;
    let import = |Entry { r#type: kind, attrs: attributes }| CacheImport { kind, attributes };
    let old_form = environment.option("cache-from").unwrap_or_default();
    let registry = fields(old_form).into_iter().map(|reference| CacheImport {
        kind: "registry".to_owned(),
        attributes: BTreeMap::from([("ref".to_owned(), reference)]),
    });
    Ok(entries.into_iter().map(import).chain(registry).collect())
}

fn row(key: Key) -> Option<&'static Row> {
    option::TABLE.iter().find(|row| row.key == key)
}

fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

fn is_foreign(name: &str) -> bool {
    FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || PROXIES.contains(&name.to_ascii_lowercase().as_str())
}

fn unknown(name: &str) -> (String, Option<String>) {
    let guess =
        option::nearest(name).map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
    let names: Vec<&str> = option::TABLE.iter().map(|row| row.name).collect();
    (format!("unknown option `{name}`{guess}"), Some(format!("options are {}", names.join(", "))))
}

/// The fields of one record of comma-separated values, double quotes removed.
fn fields(record: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in record.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => {
                if let Some(field) = fields.last_mut() {
                    field.push(other);
                }
            }
        }
    }
    fields.retain(|field| !field.is_empty());
    fields
}
