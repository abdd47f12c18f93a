//! What holds for every input: laws of orders and round trips, and that no input makes a parser panic.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::io;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use suture::digest::Digest;
use suture::distro::{self, OsRelease};
use suture::package::{Architecture, Excerpt, NamePattern, PackageName};
use suture::pkgdb::{apk, dpkg, extended_states, rpm};
use suture::reference::ImageReference;
use suture::report::{self, ReportFormat};
use suture::repository::apk::ApkRepositories;
use suture::repository::apt::AptSources;
use suture::repository::rpm::{FILES, FOLDERS, RpmConfiguration, RpmManager, Variables};
use suture::request::build_file::{BuildFile, Values};
use suture::version::apk::ApkVersion;
use suture::version::deb::DebVersion;
use suture::version::{Scheme, Version};

const APK_DATABASE: &[u8] = include_bytes!("data/apk/installed");
const APK_WORLD: &[u8] = include_bytes!("data/apk/world");
const RPM_DATABASE: &[u8] = include_bytes!("data/rpm/Packages");
const STATUS: &[u8] = include_bytes!("data/dpkg/status");
const REPORT: &[u8] = include_bytes!("data/reports/trivy-bookworm.json");

const OS_RELEASE: &[u8] =
    b"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME='Debian'\nVERSION_ID=\"12\"\n\
    # comment\nVERSION_CODENAME=bookworm\nID=debian\nID_LIKE=\"a b\"\n";

const BUILD_FILE: &[u8] =
    b"# syntax=x\n# escape=`\nARG TAG=1 NAME\nARG IMAGE=\"${NAME:-nginx}\":$TAG`\n  B='c d'\nFROM x\n";

const LIST: &[u8] = b"deb [arch=amd64 signed-by=/k.gpg] http://e.org/debian bookworm main # x\n\
    deb-src https://e.org ./\n";

const STANZAS: &[u8] =
    b"Types: deb deb-src\nURIs: http://e.org\nSuites: bookworm bookworm-updates\n\
    Components: main\nEnabled: yes\nSigned-By:\n -----BEGIN-----\n .\n x\n";

const APK_REPOSITORIES: &[u8] =
    b"# x\nset a=b${a}\nhttps://e.org/v3.20/main\n@edge http://e.org\n/cdrom\n\
    v3 https://${a}/ main community\n";

const RPM_CONFIGURATION: &[u8] =
    b"[main]\nexcludepkgs=a*\ntsflags=nodocs\nenabled=1\nlocklist=/etc/yum/pluginconf.d/versionlock.list\n\
    [a]\nbaseurl=http://e.org/$x/${basearch}\n  http://e.net\nenabled=1\ngpgkey=file:///$releasever\n";

const RPM_LOCKS: &[u8] = b"# x\na-0:1-1.*\n!b-1-1\n[[packages]]\nname = \"a\"\n[[packages.conditions]]\n\
    key='evr'\ncomparator = \"=\"\nvalue='1-1'\n\ntype: package\nmatch_type: glob\nsolvable_name: a*\n";

/// Apk versions close to each other, where the rules meet.
fn close_apk_version() -> impl Strategy<Value = String> {
    "[01]{1,2}(\\.[019]{0,3}){0,2}[ab]?(_(alpha|rc|cvs|p|x)?[01]?){0,2}(~[0a]{0,2})?(-r?[01]{0,2})?"
}

/// A valid deb version.
fn deb_version() -> impl Strategy<Value = String> {
    "(([0-9]|1[0-9]):)?[0-9][0-9a-c.+~]{0,6}(-[0-9a-c.+~]{1,4})?"
}

/// Versions close to each other, where the rules meet.
fn close_deb_version() -> impl Strategy<Value = String> {
    "(0:|1:)?[01][01a.~+]{0,4}(-[01a~]{1,2})?"
}

fn package_name() -> impl Strategy<Value = PackageName> {
    "[a-zA-Z0-9][a-zA-Z0-9+._~@-]{0,12}".prop_map(|text| text.parse().expect("a name"))
}

fn architecture() -> impl Strategy<Value = Architecture> {
    "(amd64|i386|arm64|all)".prop_map(|text| text.parse().expect("an architecture"))
}

/// Bytes made from a valid file: cut, repeated, with wrong bytes in them.
fn damaged(file: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let range = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    let part = range.prop_map(|(first, second)| {
        let (first, second) = (first.index(file.len() + 1), second.index(file.len() + 1));
        file[first.min(second)..first.max(second)].to_vec()
    });
    let piece = prop_oneof![
        4 => part,
        1 => vec(any::<u8>(), 0..8),
        1 => Just(file.to_vec()),
        1 => select(vec![&b"\n"[..], b"\r\n", b"\n\n", b" ", b":", b"\"", b"{", b"[", b"]", b"}", b"#", b"\xff", b"\0"])
            .prop_map(<[u8]>::to_vec),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// Any bytes, or a damaged file.
fn hostile(file: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => vec(any::<u8>(), 0..200), 3 => damaged(file)]
}

fn read(text: &str) -> DebVersion {
    DebVersion::parse(text).expect("the strategy makes valid versions")
}

/// The entry functions of all parsers of outside input, for one input each.
mod no_panic {
    use super::*;

    proptest! {
        #[test]
        fn dpkg_status(bytes in hostile(STATUS)) {
            if let Ok(database) = dpkg::parse_status(&bytes) {
                prop_assert!(database.packages().is_sorted_by_key(|package| (&package.name, &package.architecture)));
                prop_assert!(dpkg::native_architecture(&database).is_none_or(|native| native.as_str() != "all"));
            }
            let _unused = dpkg::parse_foreign_architectures(&bytes);
        }

        #[test]
        fn apk_database(bytes in hostile(APK_DATABASE), world in hostile(APK_WORLD)) {
            let world = apk::World::parse(&world).unwrap_or_default();
            let _unused = apk::parse_files(&bytes);
            if let Ok(installed) = apk::Installed::parse(&bytes, &world) {
                for name in &installed.pinned {
                    prop_assert!(installed.database.find(name).next().is_some());
                }
            }
        }

        #[test]
        fn apk_repositories(bytes in hostile(APK_REPOSITORIES)) {
            if let Ok(read) = ApkRepositories::parse([("/etc/apk/repositories", bytes.as_slice())]) {
                let addresses = read.index_addresses(&"x86_64".parse().expect("an architecture"));
                prop_assert!(addresses.is_none_or(|found| found.len() <= read.repositories().len()));
            }
        }

        #[test]
        fn rpm_configuration(
            configuration in hostile(RPM_CONFIGURATION),
            locks in hostile(RPM_LOCKS),
        ) {
            let in_folders = FOLDERS.iter().map(|(folder, ending)| format!("{folder}/macros{ending}"));
            let paths: Vec<String> =
                FILES.iter().map(|path| (*path).to_owned()).chain(in_folders).collect();
            let files = paths.iter().map(|path| {
                let is_lock = ["lock", "vars"].iter().any(|word| path.contains(word));
                let bytes = if is_lock && !path.ends_with("versionlock.conf") { &locks } else { &configuration };
                (path.as_str(), bytes.as_slice())
            });
            let database = rpm::parse(RPM_DATABASE).expect("a sound database");
            let architecture = "x86_64".parse().expect("an architecture");
            let variables = Variables::new(Some("9.4"), Some(&architecture));
            for manager in [RpmManager::Dnf4, RpmManager::Dnf5, RpmManager::Tdnf, RpmManager::Yum, RpmManager::Zypper] {
                let Ok(read) = RpmConfiguration::parse(manager, files.clone()) else { continue };
                prop_assert!(read.names_repositories() || read.index_addresses(&variables) == Some(Vec::new()));
                prop_assert!(read.local_keys(&variables).iter().all(|path| path.starts_with('/')));
                for package in database.packages() {
                    let _unused = read.holds(package);
                }
            }
        }

        #[test]
        fn build_file(bytes in hostile(BUILD_FILE)) {
            if let Ok(file) = BuildFile::parse(&bytes) {
                let _values = file.values(&Values::new());
            }
        }

        #[test]
        fn os_release(bytes in hostile(OS_RELEASE)) {
            let os_release = OsRelease::parse(&bytes);
            let _unused = distro::identify(&os_release);
            let _unused = distro::end_of_life(&os_release);
            prop_assert!(!os_release.id().is_empty() && !os_release.pretty_name().is_empty());
        }

        #[test]
        fn trivy_report(bytes in hostile(REPORT)) {
            for format in [ReportFormat::Auto, ReportFormat::Trivy] {
                if let Ok(report) = report::parse(bytes.as_slice(), format) {
                    prop_assert!(report.findings.is_sorted());
                }
            }
        }

        #[test]
        fn apt_sources(bytes in prop_oneof![hostile(LIST), hostile(STANZAS)]) {
            for file in ["a.list", "a.sources"] {
                let Ok(sources) = AptSources::parse([(file, bytes.as_slice())]) else { continue };
                let small = sources.small(&["bookworm"]);
                if let Some(all) = sources.release_addresses() {
                    let small = small.release_addresses().unwrap();
                    prop_assert!(small.iter().all(|address| all.contains(address)));
                }
                // What is written is read as the same.
                let written = small.files();
                let again = AptSources::parse(written.iter().map(|(file, text)| (*file, text.as_bytes())));
                let again = again.map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!(again.files(), written);
                prop_assert_eq!(again.release_addresses(), small.release_addresses());
                prop_assert_eq!(small.small(&["bookworm"]), small);
            }
        }

        #[test]
        fn texts(text in any::<String>()) {
            let _unused = text.parse::<Digest>();
            let _unused = text.parse::<NamePattern>();
            let _unused = text.parse::<Architecture>();
            let _unused = ApkVersion::parse(&text);
            let _unused = apk::Dependency::parse(&text);
            let _unused = DebVersion::parse(&text);
            let _unused = DebVersion::parse_recorded(&text);
            let shown = Excerpt::of(&text).to_string();
            prop_assert!(shown.chars().all(|character| !character.is_control()));
            if let Ok(name) = text.parse::<PackageName>() {
                prop_assert_eq!(name.as_str(), text);
            }
        }
    }
}

proptest! {
    #[test]
    fn apk_order_is_an_order(left in close_apk_version(), middle in close_apk_version(), right in close_apk_version()) {
        let read = |text: &str| ApkVersion::parse_recorded(text).expect("the strategy makes plain text");
        let (left, middle, right) = (read(&left), read(&middle), read(&right));
        prop_assert_eq!(left.cmp(&middle), middle.cmp(&left).reverse());
        prop_assert_eq!(left == middle, left.cmp(&middle).is_eq());
        if left <= middle && middle <= right {
            prop_assert!(left <= right);
        }
        if left == middle {
            prop_assert_eq!(left.cmp(&right), middle.cmp(&right));
        }
    }

    #[test]
    fn deb_order_is_an_order(left in close_deb_version(), middle in close_deb_version(), right in close_deb_version()) {
        let (left, middle, right) = (read(&left), read(&middle), read(&right));
        prop_assert_eq!(left.cmp(&middle), middle.cmp(&left).reverse());
        prop_assert_eq!(left == middle, left.cmp(&middle).is_eq());
        if left <= middle && middle <= right {
            prop_assert!(left <= right);
        }
        if left == middle {
            prop_assert_eq!(left.cmp(&right), middle.cmp(&right));
        }
    }

    #[test]
    fn deb_versions_are_shown_as_given(text in deb_version()) {
        let version = Version::parse(Scheme::Deb, &text).expect("valid");
        prop_assert_eq!(version.to_string(), &text[..]);
        let Version::Deb(deb) = version else { return Err(TestCaseError::fail("not a deb version")) };
        let revision = deb.revision().map(|revision| format!("-{revision}")).unwrap_or_default();
        let end = format!("{}{revision}", deb.upstream());
        prop_assert!(text.ends_with(&end));
        prop_assert_eq!(DebVersion::parse_recorded(&text).expect("valid"), deb);
    }

    #[test]
    fn a_tilde_is_older_and_a_suffix_newer(text in deb_version(), suffix in "[0-9a-z+]{0,3}") {
        let version = read(&text);
        let older = read(&format!("{text}~{suffix}"));
        let newer = read(&format!("{text}+{suffix}"));
        prop_assert!(older < version && version < newer);
    }

    #[test]
    fn patterns_match_what_they_were_made_from(name in package_name(), from in any::<prop::sample::Index>(), length in 0..5_usize) {
        let text = name.as_str();
        let from = from.index(text.len());
        let to = (from + length).min(text.len());
        let star: NamePattern = format!("{}*{}", &text[..from], &text[to..]).parse().expect("a pattern");
        prop_assert!(star.matches(&name));
        let marks = format!("{}{}{}", &text[..from], "?".repeat(to - from), &text[to..]);
        prop_assert!(marks.parse::<NamePattern>().expect("a pattern").matches(&name));
    }

    #[test]
    fn references_are_read_as_they_are_written(
        text in "((docker\\.io|localhost|e\\.org|e:5000|E|\\[::1\\]:5)/)?[a-z0-9]{1,4}([._/-][a-z0-9]{1,3}){0,2}(:[A-Za-z0-9_][A-Za-z0-9._-]{0,4})?(@sha256:[0-9a-f]{64})?"
    ) {
        let reference: ImageReference = text.parse().expect("valid");
        prop_assert_eq!(&reference.canonical().parse::<ImageReference>().expect("valid"), &reference);
        prop_assert_eq!(&reference.familiar().parse::<ImageReference>().expect("valid"), &reference);
        let digest = Digest::of(text.as_bytes());
        let pinned = reference.with_digest(&digest);
        prop_assert_eq!(pinned.digest(), Some(&digest));
        prop_assert_eq!(pinned.without_digest(), reference.without_digest());
        let name = format!("{}/{}", reference.domain(), reference.path());
        prop_assert!(pinned.canonical().starts_with(&name));
    }

    /// Where the two known differences cannot occur, `oci-spec` reads the same.
    #[test]
    fn references_as_oci_spec_reads_them(text in "[a-z0-9./:@_-]{1,12}|[a-z0-9]{1,3}(/[a-z0-9._-]{1,5}){0,2}(:[A-Za-z0-9._-]{1,4})?") {
        use oci_spec::distribution::Reference;
        let theirs = text.parse::<Reference>().ok().map(|reference| reference.whole());
        let ours = text.parse::<ImageReference>().ok().map(|reference| reference.canonical());
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn marks_are_added_and_nothing_is_lost(
        original in hostile(b"Package: a\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: b\nArchitecture: amd64\nAuto-Installed: 0\n\n"),
        automatic in vec((package_name(), architecture()), 0..4),
    ) {
        let merged = extended_states::merge(&original, automatic.clone());
        prop_assert!(merged.starts_with(&original));
        prop_assert_eq!(&extended_states::merge(&original, automatic.iter().rev().cloned()), &merged);
        let before = extended_states::parse(&original);
        let all: BTreeSet<_> = before.into_iter().chain(automatic).collect();
        // After a line that is no field nothing more can be read, by apt either.
        if dpkg_syntax_is_sound(&original) {
            prop_assert_eq!(extended_states::parse(&merged), all);
        }
    }

    #[test]
    fn the_order_of_stanzas_does_not_matter(order in Just((0..STATUS_STANZAS).collect::<Vec<_>>()).prop_shuffle()) {
        let stanzas: Vec<&[u8]> = split_stanzas(STATUS);
        let shuffled: Vec<&[u8]> = order.iter().map(|index| stanzas[*index]).collect();
        prop_assert_eq!(dpkg::parse_status(&shuffled.join(&b"\n\n"[..])), dpkg::parse_status(STATUS));
    }

    #[test]
    fn os_release_values_come_back(value in "[ -~éü]{1,20}") {
        let escaped: String = value.chars().flat_map(|character| match character {
            '"' | '\\' | '$' | '`' => vec!['\\', character],
            _ => vec![character],
        }).collect();
        let os_release = OsRelease::parse(format!("NAME=\"{escaped}\"\n").as_bytes());
        prop_assert_eq!(os_release.name(), Some(value.as_str()));
    }

    #[test]
    fn a_cut_report_is_an_error(end in any::<prop::sample::Index>()) {
        let end = end.index(REPORT.trim_ascii_end().len());
        let error = report::parse(&REPORT[..end], ReportFormat::Auto);
        prop_assert!(
            matches!(error, Err(report::ReportError::Truncated { .. } | report::ReportError::Empty)),
            "{:?}", error
        );
    }

    #[test]
    fn reports_do_not_depend_on_how_they_are_read(size in 1..5000_usize) {
        struct Pieces<'a>(&'a [u8], usize);
        impl io::Read for Pieces<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = self.1.min(buffer.len());
                self.0.read(&mut buffer[..count])
            }
        }
        let whole = report::parse(REPORT, ReportFormat::Auto).expect("valid");
        prop_assert_eq!(report::parse(Pieces(REPORT, size), ReportFormat::Auto).expect("valid"), whole);
    }
}

const STATUS_STANZAS: usize = 14;

fn split_stanzas(status: &'static [u8]) -> Vec<&'static [u8]> {
    let mut stanzas = Vec::new();
    let mut rest = status.trim_ascii_end();
    while let Some(end) = rest.windows(2).position(|two| two == b"\n\n") {
        stanzas.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    stanzas.push(rest);
    assert_eq!(stanzas.len(), STATUS_STANZAS);
    stanzas
}

fn dpkg_syntax_is_sound(bytes: &[u8]) -> bool {
    suture::pkgdb::control::stanzas(bytes).all(|stanza| stanza.is_ok())
}
