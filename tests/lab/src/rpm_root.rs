//! Makes an rpm world: its packages, their repositories, and a root file system that its own package
//! manager installed.

use std::collections::BTreeSet;
use std::fs::{self, File as OpenFile, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::debian_root;
use crate::digest;
use crate::folder::LabFolder;
use crate::program;
use crate::rpm_package::{self, Architecture, File, Kind, Package, Version};
use crate::rpm_repository::{self, Packages};
use crate::rpm_small_packages::{Place, SMALL_PACKAGES, SmallPackage};
use crate::rpm_tools::{RpmTools, empty};
use crate::rpm_worlds::{COMMON, Manager, WITHOUT, World};
use crate::signing_key::SigningKey;
use crate::unpacked_system::{MERGED, UnpackedSystem};

/// Everything of ours that decides what a world is like.
const RECIPE: [&str; 8] = [
    include_str!("rpm_package.rs"),
    include_str!("rpm_repository.rs"),
    include_str!("rpm_root.rs"),
    include_str!("rpm_small_packages.rs"),
    include_str!("rpm_tools.rs"),
    include_str!("rpm_worlds.rs"),
    include_str!("unpacked_system.rs"),
    RETIRED_KEY,
];

/// A key that signs nothing any more, which the images have beside the lab's.
const RETIRED_KEY: &str = include_str!("../images/rpm/retired-key.asc");

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

/// What an installation leaves behind that images do not have.
const LEFT_BEHIND: [&str; 4] =
    ["var/cache/dnf", "var/cache/libdnf5", "var/cache/ldconfig/aux-cache", "var/log"];

/// Links that Debian's scripts would have made, with the packages they are for.
const MADE_BY_SCRIPTS: [(&str, &str); 2] = [("bash", "/usr/bin/sh"), ("mawk", "/usr/bin/awk")];

/// Files that scripts write and a package owns.
const GHOSTS: [&str; 2] = ["/etc/ld.so.cache", "/var/cache/ldconfig/aux-cache"];

/// The first bytes of every program and shared library.
const ELF: [u8; 4] = *b"\x7fELF";

/// A world that was made.
#[derive(Debug)]
pub struct RpmRoot {
    /// Its whole file system.
    pub archive: PathBuf,
    /// The digest of how it was made.
    pub recipe: String,
}

impl RpmRoot {
    /// The root of a world, with its repositories among the served, made unless it was made before.
    pub fn of(folder: &LabFolder, world: &World) -> Result<Self> {
        let _alone = folder.lock(&format!("rpm-{}", world.name))?;
        let home = folder.folder("rpm")?;
        let key = SigningKey::of(folder)?;
        let recipe = recipe(world, &key)?;
        let marker = home.join(format!("{}.complete", world.name));
        let root = Self { archive: home.join(format!("{}.tar", world.name)), recipe };
        if !fs::read_to_string(&marker).is_ok_and(|made| made == root.recipe) {
            eprintln!("making the packages of {}", world.name);
            let tools = RpmTools::for_work(folder, world.name)?;
            let tree = make(folder, world, &key, &tools)?;
            debian_root::pack(&tree.path("work/root"), &root.archive)?;
            let served = folder.folder("repositories")?.join(world.name);
            empty(&served)?;
            fs::rename(tree.path("work/repositories"), &served)
                .with_context(|| format!("cannot write: {}", served.display()))?;
            tools.clear()?;
            fs::write(&marker, &root.recipe)
                .with_context(|| format!("cannot write: {}", marker.display()))?;
        }
        Ok(root)
    }
}

/// The digest of everything that decides what comes out.
fn recipe(world: &World, key: &SigningKey) -> Result<String> {
    let key = digest::of_bytes(&key.public_bytes()?);
    let parts = [&RECIPE[..], &[world.name, &key]].concat();
    Ok(digest::of_bytes(parts.join("\n").as_bytes()))
}

/// Makes packages, repositories and root; returns the system that they were cut from, with the last
/// two in its folder of work.
fn make(
    folder: &LabFolder,
    world: &World,
    key: &SigningKey,
    tools: &RpmTools,
) -> Result<UnpackedSystem> {
    let wanted = [&COMMON[..], world.packages].concat();
    let tree = tools.path("tree");
    let system = UnpackedSystem::unpack(folder, world.suite, world.name, &wanted, &tree)?;
    for path in world.removed {
        let path = system.path(path);
        fs::remove_file(&path).with_context(|| format!("cannot remove: {}", path.display()))?;
    }
    compile_python(&system)?;
    let public_key = tools.armoured(key)?;
    let batches = batches(world, &system, &wanted, &public_key)?;
    for (number, batch) in batches.iter().enumerate() {
        batch.build(world, tools, &format!("batch-{number}"))?;
    }
    let packages = |updates: bool| {
        let batches = batches.iter().filter(move |batch| batch.updates == updates);
        batches.flat_map(|batch| batch.packages.iter().cloned()).collect::<Vec<_>>()
    };
    let (base, updates) = (packages(false), packages(true));
    rpm_repository::write(tools, key, &Packages { base: &base, updates: &updates })?;
    let repositories = system.path("work/repositories");
    fs::rename(tools.path("repositories"), &repositories)
        .with_context(|| format!("cannot write: {}", repositories.display()))?;
    install(world, &system, &base, &public_key)?;
    Ok(system)
}

/// Translates Python's programs, as distributions do in their packages: else the first run of each
/// would write the translations into the image.
fn compile_python(system: &UnpackedSystem) -> Result<()> {
    if !system.path("usr/bin/python3").exists() {
        return Ok(());
    }
    program::run(
        system
            .command("python3")?
            .args(["-m", "compileall", "-qq", "-j", "2", "/usr/lib/python3"])
            .args(["/usr/lib/python3.11"]),
    )
}

/// What one run of rpmbuild makes.
struct Batch {
    /// Whether these are updates.
    updates: bool,
    architecture: &'static str,
    packages: Vec<Package>,
    /// Files of the unpacked system.
    copied: Vec<String>,
    /// Programs among them that a fix changes, and what it adds to each.
    changed: Vec<(String, String)>,
    /// Files of our own.
    written: Vec<(String, Content)>,
}

/// A file of our own.
enum Content {
    Text(String),
    Link(String),
    Folder(u32),
}

impl Batch {
    /// A batch with nothing in it.
    fn new(updates: bool, architecture: &'static str) -> Self {
        Self {
            updates,
            architecture,
            packages: vec![],
            copied: vec![],
            changed: vec![],
            written: vec![],
        }
    }

    /// Builds the packages.
    fn build(&self, world: &World, tools: &RpmTools, name: &str) -> Result<()> {
        let home = tools.path(name);
        empty(&home.join("files"))?;
        for (path, content) in &self.written {
            content.write(&home.join("files").join(path.trim_start_matches('/')))?;
        }
        let copied: Vec<_> = self.copied.iter().map(|path| format!(".{path}")).collect();
        let changed: Vec<_> =
            self.changed.iter().map(|(path, mark)| format!("{path}\t{mark}\n")).collect();
        write(&home.join("copied"), &copied.join("\n"))?;
        write(&home.join("changed"), &changed.concat())?;
        // Links are enough, and quick, for what stays as it is; all files of an update are newer than
        // those they replace, as they are in life, though most of them say the same.
        let (link, newer) = if self.updates {
            ("--archive", "find %{buildroot} -type f -exec touch --date=@$SOURCE_DATE_EPOCH {} +")
        } else {
            ("--archive --link", "true")
        };
        let inside = |below: &str| tools.inside(&format!("{name}/{below}"));
        let install = format!(
            "mkdir -p %{{buildroot}}\ncd {tree}\n\
             xargs -r -a {copied} -d '\\n' cp {link} --parents -t %{{buildroot}}\n\
             while IFS='\t' read -r path mark; do\n\
             printf '\\0%s\\0' \"$mark\" >> \"%{{buildroot}}$path\"\ndone < {changed}\n\
             {newer}\ncp --archive {files}/. %{{buildroot}}/",
            tree = tools.inside("tree"),
            copied = inside("copied"),
            changed = inside("changed"),
            files = inside("files"),
        );
        let spec = rpm_package::spec(world.identity.name, &install, &self.packages);
        write(&home.join("lab.spec"), &spec)?;
        let into = if self.updates { "updates" } else { "base" };
        tools.build(&format!("{name}/lab.spec"), self.architecture, into)
    }

    /// Adds a package of the lab's own.
    fn add_small(&mut self, small: &SmallPackage) {
        let mut files = vec![File { path: small.version_file(), kind: Kind::Plain }];
        let text = Content::Text(format!("{}\n", small.version));
        self.written.push((small.version_file(), text));
        for (path, kind, text) in small.files {
            files.push(File { path: (*path).to_owned(), kind: *kind });
            self.written.push(((*path).to_owned(), Content::Text((*text).to_owned())));
        }
        let scripts = match small.script {
            "" => String::new(),
            script => format!("%post -n {}\n{script}\n", small.name),
        };
        self.packages.push(Package {
            name: small.name.to_owned(),
            version: Version::parse(small.version),
            architecture: small.architecture,
            summary: format!("{} of the lab", small.name),
            tags: small.tags.to_owned(),
            scripts,
            files,
            finds_dependencies: false,
        });
    }
}

impl Content {
    /// Writes the file.
    fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make a folder: {}", folder.display()))?;
        }
        match self {
            Self::Text(text) => write(path, text),
            Self::Link(to) => {
                symlink(to, path).with_context(|| format!("cannot link: {}", path.display()))
            }
            Self::Folder(mode) => fs::create_dir_all(path)
                .and_then(|()| fs::set_permissions(path, Permissions::from_mode(*mode)))
                .with_context(|| format!("cannot make a folder: {}", path.display())),
        }
    }
}

/// All packages of a world. One spec file has a package once and for one architecture, so what is
/// there in several versions or for several architectures makes further batches.
fn batches(
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
fn macros(world: &World) -> String {
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

/// Installs the world's packages with its own package manager, which comes from the same packages.
fn install(
    world: &World,
    system: &UnpackedSystem,
    packages: &[Package],
    public_key: &str,
) -> Result<()> {
    write(&system.path("etc/rpm/macros"), &macros(world))?;
    write(&system.path("work/key"), public_key)?;
    write(&system.path("work/retired-key"), RETIRED_KEY)?;
    let root = system.path("work/root");
    fs::create_dir_all(&root).context("cannot make a folder")?;
    let left_out = |package: &&Package| {
        !SMALL_PACKAGES.iter().any(|small| small.place == Place::Base && small.name == package.name)
    };
    let packages: Vec<&Package> = packages.iter().filter(left_out).collect();
    let source = "file:///work/repositories/base/x86_64";
    match world.manager {
        Manager::Dnf | Manager::Dnf5 => {
            let name = if world.manager == Manager::Dnf { "dnf" } else { "dnf5" };
            program::run(
                system
                    .command(name)?
                    .args(["--assumeyes", "--installroot=/work/root"])
                    .arg(format!("--releasever={}", world.identity.release))
                    .args(["--setopt=reposdir=/nonexistent", "--setopt=install_weak_deps=0"])
                    .arg(format!("--repofrompath=base,{source}"))
                    .args(["--setopt=base.gpgcheck=1", "--setopt=base.gpgkey=file:///work/key"])
                    .arg("install")
                    .args(packages.iter().map(|package| package.file_stem())),
            )?;
        }
        Manager::Zypper => {
            program::run(system.command("rpm")?.args(["--import", "/work/key"]))?;
            let folder = "/work/repositories/base/x86_64";
            program::run(
                system.command("rpm")?.args(["--root=/work/root", "--install"]).args(
                    packages.iter().map(|package| format!("{folder}/{}", package.file_name())),
                ),
            )?;
        }
    }
    if world.manager == Manager::Dnf {
        // dnf leaves its history in a journal several times as large.
        program::run(
            system
                .command("sqlite3")?
                .arg("/work/root/var/lib/dnf/history.sqlite")
                .arg("PRAGMA wal_checkpoint(TRUNCATE)"),
        )?;
    }
    // dnf 5's world has yet to learn the lab's key, from its repositories' settings.
    let keys = match world.manager {
        Manager::Dnf5 => &["/work/retired-key"][..],
        _ => &["/work/retired-key", "/work/key"],
    };
    // What the installation took is not what an image has.
    let mut query = system.command("rpm")?;
    query.args(["--root=/work/root", "--query", "--all", "gpg-pubkey"]);
    let known = program::output(&mut query)?;
    if !known.is_empty() {
        let mut erase = system.command("rpm")?;
        program::run(erase.args(["--root=/work/root", "--erase"]).args(known.lines()))?;
    }
    program::run(system.command("rpm")?.args(["--root=/work/root", "--import"]).args(keys))?;
    for path in LEFT_BEHIND {
        let path = root.join(path);
        if path.is_dir() {
            empty(&path)?;
        } else if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove: {}", path.display()))?;
        }
    }
    Ok(())
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

/// Writes a text file, with its folders.
fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file has no folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write: {}", path.display()))
}
