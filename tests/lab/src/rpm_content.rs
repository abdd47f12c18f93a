//! What the packages of an rpm world contain: which of Debian's files each has, under which name and
//! version, and what the distribution adds.

use std::collections::BTreeSet;
use std::fs::File as OpenFile;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::rpm_batch::{Batch, Content};
use crate::rpm_package::{Architecture, File, Kind, Package, Version};
use crate::rpm_small_packages::{Place, SMALL_PACKAGES, SmallPackage};
use crate::rpm_worlds::{WITHOUT, World};
use crate::unpacked_system::{MERGED, UnpackedSystem};

/// Where a world has the lab's key.
pub const KEY: &str = "/etc/pki/rpm-gpg/RPM-GPG-KEY-lab";

/// What of Debian's packages no world has: much of it is only for Debian or for people who read.
const LEFT_OUT: [&str; 14] = [
    "/etc/apt/",
    "/etc/cron",
    "/etc/default/",
    "/etc/init.d/",
    "/etc/os-release",
    "/usr/lib/os-release",
    "/usr/lib/systemd/",
    "/usr/share/doc/",
    "/usr/share/info/",
    "/usr/share/lintian/",
    "/usr/share/locale/",
    "/usr/share/man/",
    "/usr/share/perl",
    "/var/lib/dpkg/",
];

/// The folders that a system has beside those of its packages' files, with their modes.
const FOLDERS: [(&str, u32); 17] = [
    ("/boot", 0o555),
    ("/dev", 0o755),
    ("/etc/pki/rpm-gpg", 0o755),
    ("/home", 0o755),
    ("/mnt", 0o755),
    ("/opt", 0o755),
    ("/proc", 0o555),
    ("/root", 0o550),
    ("/run", 0o755),
    ("/srv", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/usr/local/bin", 0o755),
    ("/var/cache", 0o755),
    ("/var/lib", 0o755),
    ("/var/log", 0o755),
    ("/var/tmp", 0o1777),
];

/// Links that Debian's scripts would have made, with the packages they are for.
const MADE_BY_SCRIPTS: [(&str, &str); 2] = [("bash", "/usr/bin/sh"), ("mawk", "/usr/bin/awk")];

/// Files that scripts write and a package owns.
const GHOSTS: [&str; 2] = ["/etc/ld.so.cache", "/var/cache/ldconfig/aux-cache"];

/// The first bytes of every program and shared library.
const ELF: [u8; 4] = *b"\x7fELF";

/// All packages of a world. One spec file has a package once and for one architecture, so what is
/// there in several versions or for several architectures makes further batches.
pub fn batches(
    world: &World,
    system: &UnpackedSystem,
    wanted: &[&str],
    public_key: &str,
) -> Result<Vec<Batch>> {
    let mut base = Batch::new(false, "x86_64");
    let mut updates = Batch::new(true, "x86_64");
    let closure = system.closure(wanted, &WITHOUT);
    let real = RealPackages { world, system, closure: &closure };
    let mut taken = BTreeSet::new();
    let mut found = BTreeSet::new();
    for debian in &closure {
        let name = real.name(debian);
        let files = real.files(debian, &mut taken);
        let update = world.updates.iter().find(|update| update.package == name);
        let (installed, exactly) = match update {
            Some(update) => (update.installed.to_owned(), update.exactly),
            None => (real.version(debian), ""),
        };
        base.packages.push(real.package(debian, &installed, exactly, &files));
        base.copied.extend(files.iter().cloned());
        if let Some(update) = update {
            found.insert(update.package);
            updates.packages.push(real.package(debian, update.fixed, exactly, &files));
            for path in &files {
                if is_program(&system.path(path.trim_start_matches('/')))? {
                    updates.changed.push((path.clone(), format!("fixed in {}", update.fixed)));
                }
            }
            updates.copied.extend(files);
        }
    }
    if let Some(missing) = world.updates.iter().find(|update| !found.contains(update.package)) {
        bail!("{} has no package {}", world.name, missing.package);
    }
    for batch in [&mut base, &mut updates] {
        batch.written.extend(GHOSTS.map(|path| (path.to_owned(), Content::Text(String::new()))));
    }
    add_release(&mut base, world, public_key);
    add_filesystem(&mut base, system);
    let mut batches = vec![base, updates];
    let fits = |small: &&SmallPackage| {
        world.has_second_architecture || small.architecture != Architecture::I686
    };
    for small in SMALL_PACKAGES.iter().filter(fits) {
        let is_update = small.place == Place::Updates;
        let architecture = if small.architecture == Architecture::I686 { "i686" } else { "x86_64" };
        let fits = |batch: &&mut Batch| {
            batch.updates == is_update
                && batch.architecture == architecture
                && !batch.packages.iter().any(|package| package.name == small.name)
        };
        if let Some(batch) = batches.iter_mut().find(fits) {
            batch.add_small(small);
        } else {
            let mut batch = Batch::new(is_update, architecture);
            batch.add_small(small);
            batches.push(batch);
        }
    }
    Ok(batches)
}

/// The packages that are made from Debian's.
struct RealPackages<'a> {
    world: &'a World,
    system: &'a UnpackedSystem,
    closure: &'a [String],
}

impl RealPackages<'_> {
    /// The name here of a package of Debian's.
    fn name(&self, debian: &str) -> String {
        let known = self.world.names.iter().find(|(from, _)| *from == debian);
        known.map_or(debian, |(_, name)| name).to_owned()
    }

    /// The version of a package without an update.
    fn version(&self, debian: &str) -> String {
        let version = self.system.parts.get(debian).map_or("1", |part| part.version.as_str());
        format!("{version}-{}", self.world.release)
    }

    /// The files of a package of Debian's that it has here: each file is in one package only.
    fn files(&self, debian: &str, taken: &mut BTreeSet<String>) -> Vec<String> {
        let mut files = Vec::new();
        let part = self.system.parts.get(debian);
        let made = MADE_BY_SCRIPTS.iter().filter(|(package, _)| *package == debian);
        let paths = part.iter().flat_map(|part| &part.paths).cloned();
        for path in paths.chain(made.map(|(_, path)| (*path).to_owned())) {
            let wanted = !LEFT_OUT.iter().any(|start| path.starts_with(start));
            if wanted && self.is_there(&path) && taken.insert(path.clone()) {
                files.push(path.clone());
            }
            if let Some(compiled) = compiled_python(&path)
                && wanted
                && self.is_there(&compiled)
                && taken.insert(compiled.clone())
            {
                files.push(compiled);
            }
        }
        files
    }

    /// Whether the unpacked system has a file, or a link.
    fn is_there(&self, path: &str) -> bool {
        self.system
            .path(path.trim_start_matches('/'))
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file() || metadata.is_symlink())
    }

    /// A package made from one of Debian's.
    fn package(&self, debian: &str, version: &str, exactly: &str, files: &[String]) -> Package {
        let name = self.name(debian);
        let part = self.system.parts.get(debian);
        let needs: BTreeSet<String> = part
            .iter()
            .flat_map(|part| &part.depends)
            .filter(|need| self.closure.contains(need))
            .map(|need| self.name(need))
            .filter(|need| *need != name)
            .collect();
        let mut tags = "Requires: filesystem\n".to_owned();
        for need in needs {
            tags.push_str(&format!("Requires: {need}\n"));
        }
        if !exactly.is_empty() {
            tags.push_str(&format!("Requires: {exactly} = {version}\n"));
        }
        let mut scripts = String::new();
        let mut files: Vec<File> = files
            .iter()
            .map(|path| {
                let kind =
                    if path.starts_with("/etc/") { Kind::Configuration } else { Kind::Plain };
                File { path: path.clone(), kind }
            })
            .collect();
        match debian {
            "bash" => tags.push_str("Provides: /bin/sh\nProvides: /bin/bash\n"),
            "libc6" => tags.push_str("Provides: rtld(GNU_HASH)\n"),
            "libc-bin" => {
                tags.push_str("Provides: /sbin/ldconfig\n");
                for path in GHOSTS {
                    files.push(File { path: path.to_owned(), kind: Kind::Ghost });
                }
                // As distributions do it: once for all packages that bring libraries.
                for when in ["in", "postun"] {
                    scripts.push_str(&format!(
                        "%transfiletrigger{when} -n {name} -P 2000000 -p <lua> -- \
                         /usr/lib /usr/lib64\nrpm.execute(\"/sbin/ldconfig\")\n"
                    ));
                }
            }
            _ => {}
        }
        Package {
            name,
            version: Version::parse(version),
            architecture: Architecture::X86_64,
            summary: part.map_or(debian, |part| part.summary.as_str()).to_owned(),
            tags,
            scripts,
            files,
            finds_dependencies: true,
        }
    }
}

/// Adds the package that says which distribution this is.
fn add_release(batch: &mut Batch, world: &World, public_key: &str) {
    let identity = &world.identity;
    let (name, version) = (identity.name, identity.version);
    let line = Content::Text(format!("{name} release {version} (Lab)\n"));
    let mut written = vec![
        (
            "/usr/lib/os-release".to_owned(),
            Content::Text(format!(
                "NAME=\"{name}\"\nVERSION=\"{version} (Lab)\"\nID=\"{}\"\nID_LIKE=\"{}\"\n\
                 VERSION_ID=\"{version}\"\nPRETTY_NAME=\"{name} {version} (Lab)\"\n",
                identity.id, identity.like
            )),
        ),
        ("/etc/os-release".to_owned(), Content::Link("../usr/lib/os-release".to_owned())),
        ("/etc/system-release".to_owned(), line),
        ("/etc/rpm/macros".to_owned(), Content::Text(macros(world))),
        (KEY.to_owned(), Content::Text(public_key.to_owned())),
    ];
    for (at, to) in world.links {
        written.push(((*at).to_owned(), Content::Link((*to).to_owned())));
    }
    let file = |path: &String| File { path: path.clone(), kind: Kind::Plain };
    batch.packages.push(Package {
        name: identity.package.to_owned(),
        version: Version::parse(&format!("{version}-{}", world.release)),
        architecture: Architecture::Any,
        summary: format!("What {name} is"),
        tags: format!(
            "Requires: filesystem\nProvides: system-release = {version}\n\
             Provides: redhat-release = {version}\nProvides: distribution-release = {version}\n"
        ),
        scripts: String::new(),
        files: written.iter().map(|(path, _)| file(path)).collect(),
        finds_dependencies: false,
    });
    batch.written.extend(written);
}

/// What rpm is told of a world.
pub fn macros(world: &World) -> String {
    format!("%_dbpath {}\n%_db_backend sqlite\n{}", world.database, world.macros)
}

/// Adds the package that owns every folder, and what Debian's scripts would have made.
fn add_filesystem(batch: &mut Batch, system: &UnpackedSystem) {
    let mut folders = BTreeSet::new();
    let written = batch.written.iter().map(|(path, _)| path);
    for path in batch.copied.iter().chain(written) {
        for folder in Path::new(path).ancestors().skip(1) {
            if folder != Path::new("/") {
                folders.insert(folder.to_string_lossy().into_owned());
            }
        }
    }
    for (folder, mode) in FOLDERS {
        folders.insert(folder.to_owned());
        batch.written.push((folder.to_owned(), Content::Folder(mode)));
    }
    let mut files: Vec<File> =
        folders.into_iter().map(|path| File { path, kind: Kind::Folder }).collect();
    for name in MERGED {
        let path = format!("/{name}");
        files.push(File { path: path.clone(), kind: Kind::Plain });
        batch.copied.push(path);
    }
    for path in ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf"] {
        if system.path(path.trim_start_matches('/')).exists() {
            files.push(File { path: path.to_owned(), kind: Kind::Configuration });
            batch.copied.push(path.to_owned());
        }
    }
    batch.packages.push(Package {
        name: "filesystem".to_owned(),
        version: Version::parse("3.16-5"),
        architecture: Architecture::X86_64,
        summary: "The folders of a system".to_owned(),
        tags: "Provides: setup = 2.13.7\n".to_owned(),
        scripts: String::new(),
        files,
        finds_dependencies: false,
    });
}

/// The translation of one of Python's programs, if it is one.
fn compiled_python(path: &str) -> Option<String> {
    let (folder, name) = path.strip_suffix(".py")?.rsplit_once('/')?;
    Some(format!("{folder}/__pycache__/{name}.cpython-311.pyc"))
}

/// Whether a file is a program or a shared library.
fn is_program(path: &Path) -> Result<bool> {
    if path.is_symlink() {
        return Ok(false);
    }
    let mut start = Vec::new();
    OpenFile::open(path)
        .and_then(|file| file.take(ELF.len() as u64).read_to_end(&mut start))
        .with_context(|| format!("cannot read: {}", path.display()))?;
    Ok(start == ELF)
}
