//! The packages that one run of rpmbuild makes, and the files that go into them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};

use crate::folder::empty;
use crate::rpm_package::{self, File, Kind, Package, Version};
use crate::rpm_small_packages::SmallPackage;
use crate::rpm_tools::RpmTools;
use crate::rpm_worlds::World;

/// What one run of rpmbuild makes.
#[derive(Debug)]
pub struct Batch {
    /// Whether these are updates.
    pub updates: bool,
    /// The machine that rpmbuild builds for.
    pub architecture: &'static str,
    /// The packages.
    pub packages: Vec<Package>,
    /// Files of the unpacked system.
    pub copied: Vec<String>,
    /// Programs among them that a fix changes, and what it adds to each.
    pub changed: Vec<(String, String)>,
    /// Files of our own.
    pub written: Vec<(String, Content)>,
}

/// A file of our own.
#[derive(Debug)]
pub enum Content {
    /// A text.
    Text(String),
    /// A link to somewhere.
    Link(String),
    /// A folder with a mode.
    Folder(u32),
}

impl Batch {
    /// A batch with nothing in it.
    pub fn new(updates: bool, architecture: &'static str) -> Self {
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
    pub fn build(&self, world: &World, tools: &RpmTools, name: &str) -> Result<()> {
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
    pub fn add_small(&mut self, small: &SmallPackage) {
        let mut files = vec![File { path: small.version_file(), kind: Kind::Plain }];
        let text = Content::Text(format!("{}\n", small.version));
        self.written.push((small.version_file(), text));
        for (path, kind, text) in small.files {
            files.push(File { path: (*path).to_owned(), kind: *kind });
            let content = match kind {
                Kind::Folder => Content::Folder(0o755),
                _ => Content::Text((*text).to_owned()),
            };
            self.written.push(((*path).to_owned(), content));
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

/// Writes a text file, with its folders.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file has no folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write: {}", path.display()))
}
