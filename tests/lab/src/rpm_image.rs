//! The images of the rpm worlds.

use anyhow::Result;

use crate::build_context::{self, BuildContext};
use crate::engine::Engine;
use crate::rpm_catalogue;
use crate::rpm_content::KEY;
use crate::rpm_repository::Updates;
use crate::rpm_root::RpmRoot;
use crate::rpm_small_packages::{CHANGED_CONFIGURATION, EXCLUDED, LOCKED, STRIPPED};
use crate::rpm_worlds::{Manager, World};

/// A package of openSUSE's that zypper's books have as installed for the sake of others.
const AUTOMATIC: &str = "libnghttp2-14";

/// An image of an rpm world.
#[derive(Clone, Copy, Debug)]
pub struct RpmImage {
    /// Its world.
    pub world: &'static World,
    /// The repository of updates that it knows.
    pub updates: Updates,
    /// The package manager that stands in for the world's own, if any.
    pub stand_in: StandIn,
    /// Whether it knows one more repository, whose index is as large as a distribution's.
    pub has_catalogue: bool,
}

/// A package manager that Debian does not have, played by a strict program in front of dnf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// The world's own package manager is there.
    No,
    /// microdnf.
    Microdnf,
    /// tdnf.
    Tdnf,
    /// yum 3.
    Yum,
}

impl StandIn {
    /// The program's name and text.
    fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::No => None,
            Self::Microdnf => Some(("microdnf", include_str!("../images/almalinux/microdnf"))),
            Self::Tdnf => Some(("tdnf", include_str!("../images/almalinux/tdnf"))),
            Self::Yum => Some(("yum", include_str!("../images/almalinux/yum"))),
        }
    }
}

impl RpmImage {
    /// A world's image as it should be.
    pub const fn of(world: &'static World) -> Self {
        Self { world, updates: Updates::Good, stand_in: StandIn::No, has_catalogue: false }
    }

    /// The same with another repository of updates.
    #[must_use]
    pub const fn with(self, updates: Updates) -> Self {
        Self { updates, ..self }
    }

    /// The same with another package manager.
    #[must_use]
    pub const fn managed_by(self, stand_in: StandIn) -> Self {
        Self { stand_in, ..self }
    }

    /// The same with one more repository, see [`rpm_catalogue`].
    #[must_use]
    pub const fn with_catalogue(self) -> Self {
        Self { has_catalogue: true, ..self }
    }

    /// Makes sure that an engine has the image.
    pub fn ensure(self, engine: &Engine, name: &str) -> Result<()> {
        let root = RpmRoot::of(engine.folder(), self.world)?;
        if self.has_catalogue {
            rpm_catalogue::ensure(engine.folder(), self.world, &root.recipe)?;
        }
        let _alone = engine.folder().lock("rpm-images")?;
        let root_name = format!("lab/root:{}", self.world.name);
        build_context::ensure_imported(engine, &root_name, &root.archive, &root.recipe)?;
        self.context(engine)?.root(engine, &root_name)?.ensure(engine, name)
    }

    /// What the image is built from.
    fn context(self, engine: &Engine) -> Result<BuildContext> {
        let mut context = BuildContext::new()
            .file("Dockerfile", include_str!("../images/rpm/Dockerfile"))
            .file("author", include_str!("../images/rpm/author"))
            .file("entrypoint", include_str!("../images/application/entrypoint"))
            .file("greeting", include_str!("../images/application/greeting"))
            .argument("STRIPPED", STRIPPED);
        for (path, text) in CHANGED_CONFIGURATION {
            context = context.file(&format!("files{path}"), text);
        }
        for (path, text) in self.settings() {
            context = context.file(&format!("files/{path}"), text);
        }
        let (folder, text) = self.repositories(engine)?;
        context = context.file(&format!("repositories/{folder}/lab.repo"), text);
        Ok(match self.stand_in.program() {
            None => context.argument("STAND_IN", ""),
            Some((name, text)) => {
                context.argument("STAND_IN", name).file(&format!("stand-in/{name}"), text)
            }
        })
    }

    /// The package manager's settings: path and text of each file. They keep one package from
    /// everything, and another at its version where the manager knows how.
    fn settings(self) -> Vec<(&'static str, String)> {
        let excluding = |text: &str| format!("{text}excludepkgs={EXCLUDED}\n");
        let almalinux = || excluding(include_str!("../images/almalinux/dnf.conf"));
        match (self.stand_in, self.world.manager) {
            (StandIn::Microdnf, _) => vec![("etc/dnf/dnf.conf", almalinux())],
            (StandIn::Tdnf, _) => vec![
                ("etc/tdnf/tdnf.conf", excluding(include_str!("../images/almalinux/tdnf.conf"))),
                ("etc/tdnf/locks.d/lab.conf", format!("{LOCKED}\n")),
            ],
            (StandIn::Yum, _) => vec![
                (
                    "etc/yum.conf",
                    format!("{}exclude={EXCLUDED}\n", include_str!("../images/almalinux/yum.conf")),
                ),
                (
                    "etc/yum/pluginconf.d/versionlock.conf",
                    include_str!("../images/almalinux/versionlock.conf").to_owned(),
                ),
                ("etc/yum/pluginconf.d/versionlock.list", format!("0:{LOCKED}-1.0-1.*\n")),
            ],
            (StandIn::No, Manager::Dnf) => vec![
                ("etc/dnf/dnf.conf", almalinux()),
                ("etc/dnf/plugins/versionlock.list", format!("{LOCKED}-0:1.0-1.*\n")),
            ],
            (StandIn::No, Manager::Dnf5) => vec![
                ("etc/dnf/dnf.conf", excluding(include_str!("../images/fedora/dnf.conf"))),
                (
                    "etc/dnf/versionlock.toml",
                    include_str!("../images/fedora/versionlock.toml").replace("LOCKED", LOCKED),
                ),
            ],
            (StandIn::No, Manager::Zypper) => vec![
                (
                    "etc/zypp/locks",
                    include_str!("../images/opensuse/locks")
                        .replace("EXCLUDED", EXCLUDED)
                        .replace("LOCKED", LOCKED),
                ),
                ("etc/zypp/zypp.conf", include_str!("../images/opensuse/zypp.conf").to_owned()),
                ("var/lib/zypp/AutoInstalled", format!("{AUTOMATIC}\n")),
            ],
        }
    }

    /// The repositories as the package manager wants them named: the folder of the file, and its text.
    fn repositories(self, engine: &Engine) -> Result<(&'static str, String)> {
        let server = engine.repository_server()?;
        let server = match self.updates {
            Updates::Unreachable => server.unreachable_url(),
            _ => server.url(),
        };
        let world = self.world.name;
        let repository = |name: &str, title: &str, folder: &str, more: &str| {
            format!(
                "[{name}]\nname={title}\nbaseurl={server}/{folder}/$basearch/\n\
                 enabled=1\ngpgcheck=1\ngpgkey=file://{KEY}\n{more}"
            )
        };
        let (folder, more) = match self.world.manager {
            Manager::Dnf | Manager::Dnf5 => ("etc/yum.repos.d", ""),
            Manager::Zypper => ("etc/zypp/repos.d", "autorefresh=1\ntype=rpm-md\n"),
        };
        // Where zypper trusts an index, it looks at its packages' signatures only if told to.
        let strict = match (self.world.manager, self.updates) {
            (Manager::Zypper, Updates::Unsigned) => "pkg_gpgcheck=1\n",
            _ => "",
        };
        let updates = format!("{world}/{}", self.updates.folder());
        let mut text = vec![
            repository("base", "Lab", &format!("{world}/base"), more),
            repository("updates", "Lab updates", &updates, &[more, strict].concat()),
        ];
        if self.has_catalogue {
            let folder = rpm_catalogue::folder_of(self.world);
            text.push(repository("catalogue", "Lab catalogue", &folder, more));
        }
        Ok((folder, text.join("\n")))
    }
}
