//! Package files: what they are, who signed them, and how rpm installs them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::package::PackageName;
use crate::patch::task::{AgentFailure, path};
use crate::pkgdb::InstalledPackage;
use crate::pkgdb::rpm::listing;
use crate::repository::rpm::RpmConfiguration;

use super::super::Failure;
use super::super::process::Echo;
use super::output;

/// Makes rpm verify packages again, whatever the image's own rpm is set to (rpm's `macros`,
/// `_pkgverify_level`): digests and signatures. rpm would accept a package without a signature.
const VERIFY_ALL: [&str; 2] = ["--define", "_pkgverify_level all"];

/// A package file.
pub(super) struct PackageFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What is in it.
    pub(super) package: InstalledPackage,
    /// What it provides.
    provides: Vec<String>,
    /// The packages it replaces.
    pub(super) obsoletes: Vec<PackageName>,
}

impl PackageFile {
    /// Whether this is the file of an installed package.
    pub(super) fn is_of(&self, installed: &InstalledPackage) -> bool {
        let of =
            |it: &InstalledPackage| (it.name.clone(), it.architecture.clone(), it.version.clone());
        of(&self.package) == of(installed)
    }
}

/// Whether packages must be signed by a key that the image trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// Each.
    Demanded,
    /// As the image is set up, the manager has checked what there is to check.
    CheckedByManager,
}

/// The customary name of a package's file (rpm's `_build_name_fmt`), which leaves out the epoch.
pub(super) fn name_of(package: &InstalledPackage) -> String {
    let InstalledPackage { name, architecture, version, .. } = package;
    let version = version.as_str();
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    format!("{name}-{version}.{architecture}.rpm")
}

/// Asks rpm what is in files.
pub(super) fn describe(paths: Vec<PathBuf>) -> Result<Vec<PackageFile>, Failure> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let format = format!("{}\\t[%{{PROVIDENAME}} ]\\t[%{{OBSOLETENAME}} ]\\n", listing::FIELDS);
    let mut arguments = vec!["-qp", "--queryformat", &format];
    let spelled = spell(&paths);
    arguments.extend(spelled.iter().map(String::as_str));
    let finished = super::rpm(&arguments, Echo::Hidden)?;
    let lines: Vec<&str> = finished.stdout.lines().collect();
    if !finished.is_success() || lines.len() != paths.len() {
        return Err(output::failure("rpm", &finished));
    }
    let malformed = |line: &str| {
        Failure::new(AgentFailure::PackageManager, format!("not a package that rpm knows: {line}"))
    };
    let file = |(path, line): (PathBuf, &str)| {
        let package = listing::parse_line(line).ok().flatten().ok_or_else(|| malformed(line))?;
        let mut lists = line.rsplit('\t').map(|list| list.split_ascii_whitespace());
        let mut next = || lists.next().into_iter().flatten();
        let obsoletes = next().filter_map(|name| name.parse().ok()).collect();
        let provides = next().map(ToOwned::to_owned).collect();
        Ok(PackageFile { path, package, provides, obsoletes })
    };
    paths.into_iter().zip(lines).map(file).collect()
}

fn spell<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Vec<String> {
    paths.into_iter().map(|path| path.display().to_string()).collect()
}

/// The files without a good signature of a key that the image trusts.
fn unsigned(files: &[PackageFile]) -> Result<BTreeSet<PathBuf>, Failure> {
    if files.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut arguments = vec!["-Kv"];
    arguments.extend(VERIFY_ALL);
    let spelled = spell(files.iter().map(|file| &file.path));
    arguments.extend(spelled.iter().map(String::as_str));
    let finished = super::rpm(&arguments, Echo::Hidden)?;
    let mut unsigned: BTreeSet<PathBuf> =
        output::unsigned(&finished.stdout).into_iter().map(PathBuf::from).collect();
    let damage = output::damage(&finished.stdout);
    if damage.is_some() || (!finished.is_success() && unsigned.is_empty()) {
        let what = damage.map_or_else(|| finished.end(), str::to_owned);
        let message = format!("a package is not what its author signed: {what}");
        return Err(Failure::new(AgentFailure::Untrusted, message));
    }
    let named = |file: &&PackageFile| finished.stdout.contains(&file.path.display().to_string());
    unsigned.extend(files.iter().filter(|file| !named(file)).map(|file| file.path.clone()));
    Ok(unsigned)
}

/// Checks that all files are signed by keys that the image trusts, or by `local_keys`, which its
/// repositories name: managers import these when they first meet a package signed by them. Copies of
/// those that were needed are put into `keys`.
pub(super) fn demand_signatures(
    files: &[PackageFile],
    local_keys: &[String],
    keys: &Path,
) -> Result<(), Failure> {
    let mut missing = unsigned(files)?;
    for key in local_keys {
        if missing.is_empty() {
            break;
        }
        let key = Path::new(key);
        if !key.is_file() || import(key, None).is_err() {
            continue;
        }
        let now = unsigned(files)?;
        if now.len() < missing.len() {
            keep_key(key, keys)?;
        }
        missing = now;
    }
    let Some(first) = missing.first() else { return Ok(()) };
    let name = first.file_name().unwrap_or_default().to_string_lossy();
    let more = match missing.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let message = format!("{name} is not signed by a key that the image trusts{more}");
    Err(Failure::new(AgentFailure::Untrusted, message))
}

fn keep_key(key: &Path, keys: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(key).map_err(|error| Failure::file("read", key, &error))?;
    super::keys::keep(keys, &bytes)
}

/// Makes rpm trust a key, from this time on if one is given, in seconds since 1970.
pub(super) fn import(key: &Path, time: Option<i64>) -> Result<(), Failure> {
    let arguments = ["--import", &key.display().to_string()];
    let finished = super::rpm_at(time, &arguments, Echo::Hidden)?;
    if finished.is_success() { Ok(()) } else { Err(output::failure("rpm --import", &finished)) }
}

/// How rpm installs packages.
pub(super) struct Transaction<'a> {
    /// How the image is set up.
    pub(super) configuration: &'a RpmConfiguration,
    /// What the packages' signatures must be.
    pub(super) signature: Signature,
    /// More of rpm's options.
    pub(super) options: &'a [&'a str],
    /// What rpm records as the installation time, in seconds since 1970, instead of now.
    pub(super) time: Option<i64>,
}

/// Makes rpm install the packages: all as upgrades, but those with several versions side by side as
/// additions, because an upgrade would remove the others.
pub(super) fn transact(
    files: &[PackageFile],
    transaction: &Transaction<'_>,
) -> Result<(), Failure> {
    let is_addition = |file: &&PackageFile| {
        transaction.configuration.is_install_only(&file.package.name, &file.provides)
    };
    // rpm creates this folder if it is missing, and the image may lack it for a reason.
    let temporary = format!("_tmppath {}", path::WORK);
    let (additions, upgrades): (Vec<&PackageFile>, Vec<_>) = files.iter().partition(is_addition);
    for (mode, files) in [("-Uv", upgrades), ("-iv", additions)] {
        if files.is_empty() {
            continue;
        }
        let mut arguments = vec![mode];
        if transaction.signature == Signature::Demanded {
            arguments.extend(VERIFY_ALL);
        }
        arguments.extend(transaction.options);
        arguments.extend(["--define", &temporary]);
        let spelled = spell(files.iter().map(|file| &file.path));
        arguments.extend(spelled.iter().map(String::as_str));
        let finished = super::rpm_at(transaction.time, &arguments, Echo::Shown)?;
        // Unlike rpm 4, rpm 6 reports in its exit code a script that failed once its package was installed.
        if !finished.is_success() && !output::is_about_scripts_only(&finished) {
            return Err(output::failure("rpm", &finished));
        }
    }
    Ok(())
}
