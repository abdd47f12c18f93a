//! From what was given to a request: looks options up, checks them, collects every mistake.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::Code;
use crate::llb::Caching;
use crate::llb::exec::{Network, Proxy, Sandbox, Ulimit};
use crate::llb::source::ResolveMode;
use crate::package::{NamePattern, words_of};
use crate::platform::Platform;
use crate::report::ReportFormat;

use super::build_file::{self, BuildFile, Content};
use super::context::{self, Context};
use super::environment::Environment;
use super::option::{self, Key, Row, Values};
use super::{
    CacheImport, NestedBuild, OnEndOfLife, OnUnmet, OnUnreachable, OnUnsupported, OnUpToDate,
    Origin, Origins, Platforms, Problem, Refresh, ReportLocation, Request, SourceDateEpoch,
    StepCaching, Target, Understood, Wanted, WantedPackage,
};

/// Build arguments that belong to Docker or `BuildKit` and not to us.
const FOREIGN_PREFIXES: &[&str] = &["BUILDKIT_", "BUILDX_", "DOCKER_", "BAKE_"];

/// Proxy settings, which every Dockerfile knows without declaring them.
const PROXIES: &[&str] = &["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// Checks what was given; returns the list of all mistakes.
pub fn understand(
    environment: &Environment,
    build_file: &BuildFile,
) -> Result<Understood, Vec<Problem>> {
    let mut reader = Reader::new(environment, build_file);
    reader.refuse_other_instructions();
    reader.refuse_unknown_names();
    reader.note_what_a_dockerfile_has_no_use_for();
    reader.refuse_what_is_not_there_yet();
    reader.problems.extend(cache_imports(environment).err());
    let platforms = reader.platforms();
    let origin = reader.origins();
    let target = reader.target();
    let always_index = reader.always_index(&platforms);
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
    let on_unsupported = reader.choice(
        Key::OnUnsupported,
        &[("fail", OnUnsupported::Fail), ("keep", OnUnsupported::Keep)],
        OnUnsupported::Fail,
    );
    let source_date_epoch = reader.source_date_epoch();
    let (Some(origin), true) = (origin, reader.problems.is_empty()) else {
        reader.problems.sort_by_key(|problem| problem.line);
        return Err(reader.problems);
    };
    let request = Request {
        // What the Dockerfile's frontend has set is not set again.
        labels: match &origin.general {
            Some(Origin::Dockerfile(_)) => BTreeMap::new(),
            _ => with_prefix(environment, "label:"),
        },
        origin,
        target,
        wanted,
        exclude,
        on_unmet,
        on_unreachable,
        on_up_to_date,
        on_end_of_life,
        on_unsupported,
        refresh: match reader.text(Key::Refresh).as_str() {
            "auto" => Refresh::Auto,
            "always" => Refresh::Always,
            "never" => Refresh::Never,
            key => Refresh::Key(key.to_owned()),
        },
        source_date_epoch,
        platforms,
        always_index,
        resolve_mode: match environment.option("image-resolve-mode") {
            Some("pull") => ResolveMode::Pull,
            Some("local") => ResolveMode::PreferLocal,
            _ => ResolveMode::Default,
        },
        caching: step_caching(environment),
        network: match environment.option("force-network-mode") {
            Some("host") => Network::Host,
            _ => Network::Sandbox,
        },
        sandbox: reader.sandbox(),
        cache_namespace: environment
            .option("build-arg:BUILDKIT_CACHE_MOUNT_NS")
            .map(ToOwned::to_owned),
    };
    Ok(Understood { request, notices: reader.notices })
}

/// The build of the Dockerfile that the build file is, if it is one.
pub fn nested_build(environment: &Environment, build_file: &BuildFile) -> Option<NestedBuild> {
    build_file.dockerfile()?;
    Some(Reader::new(environment, build_file).nested_build())
}

/// A value and where it was given.
#[derive(Clone, Debug)]
struct Given {
    value: String,
    line: Option<usize>,
}

pub(super) struct Reader<'a> {
    environment: &'a Environment,
    build_file: &'a BuildFile,
    given: BTreeMap<Key, Given>,
    used_by_defaults: BTreeSet<String>,
    problems: Vec<Problem>,
    notices: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a Environment, build_file: &'a BuildFile) -> Self {
        let mut reader = Self {
            environment,
            build_file,
            given: BTreeMap::new(),
            used_by_defaults: BTreeSet::new(),
            problems: Vec::new(),
            notices: Vec::new(),
        };
        let mut arguments: build_file::Values = with_prefix(environment, "build-arg:");
        let mut in_file = match build_file.values(&arguments) {
            Ok((values, used)) => {
                reader.used_by_defaults = used;
                values
            }
            Err(error) => {
                reader.problem(Code::BuildFile, error.problem, None, Some(error.line));
                build_file::Values::new()
            }
        };
        if let Some(dockerfile) = build_file.dockerfile() {
            // A plain name that a Dockerfile declares is its own, but for the one that all of a build goes by.
            let is_ours = |name: &String| {
                name.starts_with(option::PREFIX)
                    || name == "SOURCE_DATE_EPOCH"
                    || !dockerfile.declared.contains(name)
            };
            arguments.retain(|name, _| is_ours(name));
            in_file.retain(|name, _| is_ours(name));
        }
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
            let prefixed = format!("{}{}", option::PREFIX, row.name);
            let named = |name: &str| Some((name.to_owned(), own.get(name)?.clone()));
            let other = other.map(|(name, value)| (name.to_owned(), value));
            let found = named(&prefixed).or_else(|| named(row.name)).or(other);
            if let Some((name, value)) = found.filter(|(_, value)| !value.is_empty()) {
                let line = if is_file { self.build_file.line_of(&name) } else { None };
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
        let Content::Other { instruction, line } = &self.build_file.content else { return };
        let message = format!(
            "`{instruction}` in a build file that has no `FROM`: a patch Dockerfile has comments and `ARG` only"
        );
        self.problem(Code::BuildFile, message, None, Some(*line));
    }

    fn refuse_unknown_names(&mut self) {
        let is_dockerfile = self.build_file.dockerfile().is_some();
        // What a Dockerfile has is its own, except for names with our prefix.
        let is_ours = |name: &str| !is_dockerfile || name.starts_with(option::PREFIX);
        for argument in &self.build_file.arguments {
            let name = &argument.name;
            if option::find(name).is_some()
                || self.used_by_defaults.contains(name)
                || is_foreign(name)
                || !is_ours(name)
            {
                continue;
            }
            let (message, hint) = unknown(name);
            self.problem(Code::UnknownOption, message, hint, Some(argument.line));
        }
        for key in self.environment.options.keys() {
            let Some(name) = key.strip_prefix("build-arg:") else { continue };
            if option::find(name).is_some()
                || is_foreign(name)
                || self.build_file.line_of(name).is_some()
            {
                continue;
            }
            if let Some(dockerfile) = self.build_file.dockerfile().filter(|_| !is_ours(name)) {
                // It may be meant for the Dockerfile, or be a slip.
                let near = option::nearest(name).filter(|_| !dockerfile.declared.contains(name));
                if let Some(near) = near {
                    let message =
                        format!("build argument `{name}` is not used, did you mean `{near}`?");
                    self.notices.push(Problem::new(Code::UnusedBuildArgument, message));
                }
                continue;
            }
            if option::nearest(name).is_some() || name.starts_with(option::PREFIX) {
                let (message, hint) = unknown(name);
                self.problem(Code::UnknownOption, message, hint, None);
            } else {
                // Fleets pass one set of build arguments to all their builds.
                let message = format!("build argument `{name}` is not used");
                self.notices.push(Problem::new(Code::UnusedBuildArgument, message));
            }
        }
    }

    /// What is given and means nothing for a Dockerfile.
    fn note_what_a_dockerfile_has_no_use_for(&mut self) {
        let Some(dockerfile) = self.build_file.dockerfile() else { return };
        let mut found = Vec::new();
        if self.is_given(Key::Image) {
            found.push("`IMAGE` has no effect: the Dockerfile says what is built".to_owned());
        }
        for name in dockerfile.declared.iter().filter(|name| name.starts_with(option::PREFIX)) {
            if self.build_file.line_of(name).is_none() {
                found.push(format!("`{name}` has no effect after the first `FROM`: put it above"));
            }
        }
        let notice = |message| Problem::new(Code::NoEffect, message);
        self.notices.extend(found.into_iter().map(notice));
    }

    fn refuse_what_is_not_there_yet(&mut self) {
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
        if self.is_given(Key::ToolsImage) {
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

    /// Whether the option is given.
    pub(super) fn is_given(&self, key: Key) -> bool {
        self.given.contains_key(&key)
    }

    /// The line of the build file that sets the option.
    pub(super) fn line(&self, key: Key) -> Option<usize> {
        self.given.get(&key).and_then(|given| given.line)
    }

    /// The value that was given, else the default.
    pub(super) fn text(&self, key: Key) -> String {
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

    fn platforms(&mut self) -> Platforms {
        let Some(Given { value, line }) = self.given.get(&Key::Platform).cloned() else {
            return Platforms::Own;
        };
        if let Some(listed) = self.environment.option("platform").filter(|it| *it != value) {
            let message = format!("`PLATFORM={value}` and --platform={listed} exclude each other");
            self.problem(Code::OptionValue, message, None, line);
        }
        if value == "all" {
            if self.build_file.dockerfile().is_some() {
                let message = "`PLATFORM=all` is for an image that exists, not for a Dockerfile";
                let hint = "name the platforms: --platform linux/amd64,linux/arm64";
                self.problem(Code::OptionValue, message.to_owned(), Some(hint.to_owned()), line);
            }
            return Platforms::All;
        }
        let mut platforms: Vec<Platform> = Vec::new();
        for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match text.parse() {
                Ok(platform) if !platforms.contains(&platform) => platforms.push(platform),
                Ok(_) => {}
                Err(_) => self.bad_value(Key::Platform, text),
            }
        }
        if platforms.is_empty() { Platforms::Own } else { Platforms::Listed(platforms) }
    }

    /// Whether one platform makes an index, too.
    fn always_index(&mut self, platforms: &Platforms) -> bool {
        let argument = self.environment.option("build-arg:BUILDKIT_MULTI_PLATFORM");
        let Some(given) = self.environment.option("multi-platform").or(argument) else {
            return false;
        };
        if !is_true(given) && matches!(platforms, Platforms::Listed(list) if list.len() > 1) {
            let message = "several platforms make an index: multi-platform=false".to_owned();
            self.problem(Code::OptionValue, message, None, None);
        }
        is_true(given)
    }

    /// What `--target` names; stages are named in any case.
    fn asked_target(&self) -> String {
        self.environment.option("target").unwrap_or_default().to_ascii_lowercase()
    }

    /// Whether this names a stage of the Dockerfile, or is the number of one.
    fn is_stage(&self, asked: &str) -> bool {
        let dockerfile = self.build_file.dockerfile();
        dockerfile.is_some_and(|it| {
            it.stages.iter().any(|stage| stage == asked) || asked.parse::<usize>().is_ok()
        })
    }

    /// The target of ours that `--target` names; a stage of that name comes first.
    fn own_target(&self) -> Option<Target> {
        let asked = self.asked_target();
        Target::named(&asked).filter(|_| !self.is_stage(&asked))
    }

    fn target(&mut self) -> Target {
        let words: Vec<(&str, Target)> =
            Target::TABLE.iter().map(|(target, name, _)| (*name, *target)).collect();
        let output = self.choice(Key::Output, &words, Target::Image);
        let asked = self.asked_target();
        if let Some(target) = self.own_target() {
            return target;
        }
        if asked.is_empty() || self.is_stage(&asked) {
            return output;
        }
        let ours = Target::TABLE.iter().map(|(_, name, _)| *name);
        let stages = self.build_file.dockerfile().into_iter().flat_map(|it| &it.stages);
        let named = stages.map(String::as_str).filter(|name| name.parse::<usize>().is_err());
        let mut known: Vec<&str> = Vec::new();
        for name in ours.chain(named) {
            if !known.contains(&name) {
                known.push(name);
            }
        }
        let hint = format!("targets are {}", known.join(", "));
        self.problem(Code::OptionValue, format!("no such target: {asked}"), Some(hint), None);
        output
    }

    fn source_date_epoch(&mut self) -> SourceDateEpoch {
        let plain = self.environment.option("build-arg:SOURCE_DATE_EPOCH").unwrap_or_default();
        let value = self.text(Key::SourceDateEpoch);
        if self.is_given(Key::SourceDateEpoch) && !plain.is_empty() && plain != value {
            let message = format!(
                "`SUTURE_SOURCE_DATE_EPOCH={value}` and `SOURCE_DATE_EPOCH={plain}` exclude each other"
            );
            let hint = "BuildKit itself goes by the plain one, which buildx also takes from the environment";
            self.problem(Code::OptionValue, message, Some(hint.to_owned()), None);
        }
        match self.text(Key::SourceDateEpoch).trim() {
            "" => SourceDateEpoch::Unset,
            "image" => SourceDateEpoch::Image,
            "context" => SourceDateEpoch::Context,
            _ => {
                let seconds = self.parsed(Key::SourceDateEpoch);
                seconds.map_or(SourceDateEpoch::Unset, SourceDateEpoch::Seconds)
            }
        }
    }

    fn context(&mut self, name: &str, platform: Option<&Platform>) -> Option<Context> {
        match context::named(self.environment, name, platform) {
            Ok(context) => context,
            Err(error) => {
                self.problem(Code::OptionValue, error.to_string(), None, None);
                None
            }
        }
    }

    /// Where the images of the platforms come from; nothing if there is none, which is reported.
    fn origins(&mut self) -> Option<Origins> {
        if self.build_file.dockerfile().is_some() {
            let general = Some(Origin::Dockerfile(self.nested_build()));
            return Some(Origins { general, by_platform: BTreeMap::new() });
        }
        let before = self.problems.len();
        let mut by_platform = BTreeMap::new();
        for platform in self.contexts_for_platforms("image") {
            if let Some(context) = self.context("image", Some(&platform))
                && let Some(origin) = self.origin(context)
            {
                by_platform.insert(platform, origin);
            }
        }
        let general = self.context("image", None).and_then(|context| self.origin(context));
        if self.problems.len() > before {
            return None;
        }
        let general = match general {
            None if by_platform.is_empty() => Some(self.named_image()?),
            other => other,
        };
        Some(Origins { general, by_platform })
    }

    /// The platforms that a named context is given for one by one.
    fn contexts_for_platforms(&self, name: &str) -> Vec<Platform> {
        let prefix = format!("context:{name}::");
        let keys = self.environment.options.keys();
        keys.filter_map(|key| key.strip_prefix(&prefix)?.parse().ok()).collect()
    }

    fn origin(&mut self, context: Context) -> Option<Origin> {
        match context {
            Context::Image(reference) => Some(Origin::Named(reference)),
            Context::OciLayout(layout) => Some(Origin::OciLayout(layout)),
            Context::Input(name, config) => Some(Origin::Input { name, config }),
            Context::Local(_) | Context::Http(_) | Context::Git(_) => {
                let message = "named context `image` is a folder or a file, not an image";
                let hint = "give it as docker-image://, oci-layout:// or target:";
                self.problem(Code::OptionValue, message.to_owned(), Some(hint.to_owned()), None);
                None
            }
        }
    }

    fn named_image(&mut self) -> Option<Origin> {
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
            Ok(reference) => Some(Origin::Named(reference)),
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

    /// The build of the Dockerfile with everything that the user has given.
    fn nested_build(&mut self) -> NestedBuild {
        let mut options = self.environment.options.clone();
        if options.contains_key(NESTED) {
            let message = "`DOCKERFILE_SYNTAX` leads back to suture".to_owned();
            let hint = "it names a frontend that builds Dockerfiles, such as docker/dockerfile:1";
            self.problem(Code::OptionValue, message, Some(hint.to_owned()), None);
        }
        options.insert(NESTED.to_owned(), "1".to_owned());
        // Questions are passed on one by one.
        options.remove("requestid");
        // The daemon makes it from the patched image, unless it finds an existing one.
        for sbom in ["attest:sbom", "build-arg:BUILDKIT_ATTEST_SBOM"] {
            options.remove(sbom);
        }
        if self.own_target().is_some() {
            options.remove("target");
        }
        // What our own names set applies to the Dockerfile, too.
        if let Some(Given { value, .. }) = self.given.get(&Key::Platform) {
            options.insert("platform".to_owned(), value.clone());
        }
        if let Some(Given { value, .. }) = self.given.get(&Key::SourceDateEpoch)
            && value.parse::<i64>().is_ok()
        {
            options.insert("build-arg:SOURCE_DATE_EPOCH".to_owned(), value.clone());
        }
        let own = self.environment.option("source").unwrap_or_default();
        let given = self.given.get(&Key::DockerfileSyntax).map(|given| given.value.clone());
        let in_file = self.build_file.syntax.clone().filter(|syntax| syntax != own);
        let syntax = given.or(in_file);
        let frontend = if syntax.is_some() { "gateway.v0" } else { "dockerfile.v0" };
        // Whatever `cmdline` is, it keeps the daemon's frontend from starting us again.
        options.insert("cmdline".to_owned(), syntax.clone().unwrap_or_else(|| own.to_owned()));
        match syntax {
            Some(syntax) => options.insert("source".to_owned(), syntax),
            None => options.remove("source"),
        };
        NestedBuild { frontend, options }
    }

    fn wanted(&mut self) -> Wanted {
        let before = self.problems.len();
        let general = self.context("report", None);
        let given = self.given.get(&Key::Report).map(|given| given.value.clone());
        let format = self.report_format();
        let mut reports = Vec::new();
        for platform in self.contexts_for_platforms("report") {
            if let Some(context) = self.context("report", Some(&platform)) {
                let path = self.report_path(Some(&context), given.as_deref());
                let (context, platform) = (Some(context), Some(platform));
                reports.extend(path.map(|path| ReportLocation { context, path, format, platform }));
            }
        }
        // If there are only contexts for platforms, nothing else is meant.
        if reports.is_empty() || general.is_some() {
            let address = given.as_deref().filter(|_| general.is_none()).and_then(context::remote);
            let (context, given) = match address {
                Some(address) => (Some(address), None),
                None => (general, given),
            };
            let path = self.report_path(context.as_ref(), given.as_deref());
            reports.extend(path.map(|path| ReportLocation {
                context,
                path,
                format,
                platform: None,
            }));
        }
        let packages = self.packages();
        if reports.is_empty() && packages.is_empty() && self.problems.len() == before {
            return Wanted::Everything;
        }
        Wanted::Listed { reports, packages }
    }

    fn report_format(&mut self) -> ReportFormat {
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
        format
    }

    /// Where in a context the reports are; nothing without any.
    fn report_path(&mut self, context: Option<&Context>, given: Option<&str>) -> Option<String> {
        match (context, given) {
            (None, None) => None,
            // A web server gives one file, whose name the protocol fixes.
            (Some(Context::Http(_)), _) => Some("context".to_owned()),
            (Some(_), None) => Some(".".to_owned()),
            (_, Some(path)) => self.path_in_context(path),
        }
    }

    /// Relative to the context's root, even if it begins with a slash.
    fn path_in_context(&mut self, given: &str) -> Option<String> {
        if given.chars().any(char::is_control) {
            self.bad_value(Key::Report, &words_of(given));
            return None;
        }
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

/// Marks the options of a nested build, so that a frontend that is us does not start another one.
const NESTED: &str = "suture.nested";

/// The options whose keys have this prefix, by the rest of their keys.
fn with_prefix(environment: &Environment, prefix: &str) -> BTreeMap<String, String> {
    let options = environment.options.iter();
    options
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())))
        .collect()
}

/// `--no-cache` has no value, `--no-cache-filter` names steps, or stages of a Dockerfile: the result is `image`.
fn step_caching(environment: &Environment) -> StepCaching {
    let Some(names) = environment.option("no-cache") else { return StepCaching::default() };
    let caching = |step: &str| {
        let is_meant = |name: &str| name.is_empty() || name == "image" || name == step;
        if names.split(',').any(is_meant) { Caching::Ignored } else { Caching::Allowed }
    };
    StepCaching { fetch: caching("fetch"), apply: caching("apply") }
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
    let prefix = if name.starts_with(option::PREFIX) { option::PREFIX } else { "" };
    let guess = option::nearest(name)
        .map_or_else(String::new, |near| format!(", did you mean `{prefix}{near}`?"));
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
