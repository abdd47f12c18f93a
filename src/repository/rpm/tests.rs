use super::*;
use crate::pkgdb::{SourcePackage, State};
use crate::version::Version;
use crate::version::rpm::RpmVersion;

const ALL: [RpmManager; 6] = [
    RpmManager::Dnf4,
    RpmManager::Dnf5,
    RpmManager::Microdnf,
    RpmManager::Tdnf,
    RpmManager::Yum,
    RpmManager::Zypper,
];

fn read(manager: RpmManager, files: &[(&str, &str)]) -> RpmConfiguration {
    let files = files.iter().map(|(path, text)| (*path, text.as_bytes()));
    RpmConfiguration::parse(manager, files).unwrap()
}

fn ids(configuration: &RpmConfiguration) -> Vec<&str> {
    configuration.repositories().map(|found| found.id.as_str()).collect()
}

/// `NAME.ARCHITECTURE` and a version.
fn package(name: &str, version: &str) -> InstalledPackage {
    let (name, architecture) = name.rsplit_once('.').unwrap();
    let version = Version::Rpm(RpmVersion::parse(version).unwrap());
    let name: PackageName = name.parse().unwrap();
    InstalledPackage {
        name: name.clone(),
        architecture: architecture.parse().unwrap(),
        version: version.clone(),
        state: State::Installed,
        held: false,
        source: SourcePackage { name, version },
    }
}

const LAB: &str = "[base]\nname=Lab\nbaseurl=http://e.org/base/$basearch/\nenabled=1\ngpgcheck=1\n\
    gpgkey=file:///etc/pki/rpm-gpg/KEY-$releasever-$basearch\n  https://e.org/KEY\n\n[updates]\n\
    baseurl = http://e.org/updates\ngpgcheck=no\ngpgkey=file:/etc/KEY,file:///etc/$unknown\n\
    [source]\nenabled = FALSE\nbaseurl=http://e.org/source\n";

#[test]
fn every_place_is_read_by_somebody() {
    let paths = FILES.iter().chain(FOLDERS.iter().map(|(folder, _)| folder));
    for path in paths {
        assert!(ALL.iter().any(|manager| manager.reads(path)), "{path}");
    }
    assert!(FILES.is_sorted() && FOLDERS.is_sorted());
    for (manager, files, folders) in [
        (RpmManager::Dnf4, 3, 5),
        (RpmManager::Dnf5, 2, 9),
        (RpmManager::Microdnf, 1, 5),
        (RpmManager::Tdnf, 1, 5),
        (RpmManager::Yum, 4, 3),
        (RpmManager::Zypper, 3, 6),
    ] {
        assert_eq!(FILES.iter().filter(|path| manager.reads(path)).count(), files, "{manager:?}");
        let read = FOLDERS.iter().filter(|(path, _)| manager.reads(path));
        assert_eq!(read.count(), folders, "{manager:?}");
    }
}

#[test]
fn repositories() {
    for (manager, expected) in [
        (RpmManager::Dnf4, vec!["main-repo", "base", "updates"]),
        (RpmManager::Dnf5, vec!["base", "updates"]),
        (RpmManager::Yum, vec!["base", "updates"]),
        // What does not say so is not enabled.
        (RpmManager::Tdnf, vec!["base"]),
        (RpmManager::Zypper, vec!["suse"]),
    ] {
        let main = if manager == RpmManager::Dnf4 {
            "[main]\nx=1\n[main-repo]\nbaseurl=http://e.org\n[other]\nx=1\n"
        } else {
            ""
        };
        let configuration = read(
            manager,
            &[
                ("/etc/yum.repos.d/lab.repo", LAB),
                ("/etc/yum.repos.d/more.repo", "[base]\nbaseurl=http://e.org/hidden\n"),
                ("/etc/yum.repos.d/below/x.repo", "[below]\nbaseurl=http://e.org\n"),
                ("/etc/dnf/dnf.conf", main),
                ("/etc/zypp/repos.d/a.repo", "[suse]\nbaseurl=http://e.org\n"),
            ],
        );
        assert_eq!(ids(&configuration), expected, "{manager:?}");
    }
}

#[test]
fn folders_that_the_configuration_names() {
    let main = "[main]\nreposdir = relative, /srv/one/ /srv/two\n";
    let file = |id: &str| format!("[{id}]\nbaseurl=http://e.org\nenabled=1\n");
    let (one, two, usual) = (file("one"), file("two"), file("usual"));
    for (manager, path, main, folders, expected) in [
        (
            RpmManager::Dnf4,
            "/etc/dnf/dnf.conf",
            main,
            vec!["/srv/one/", "/srv/two/"],
            vec!["one", "two"],
        ),
        (
            RpmManager::Yum,
            "/etc/yum.conf",
            main,
            vec!["/srv/one/", "/srv/two/"],
            vec!["one", "two"],
        ),
        (
            RpmManager::Tdnf,
            "/etc/tdnf/tdnf.conf",
            "[main]\nrepodir=/srv/two\n",
            vec!["/srv/two/"],
            vec!["two"],
        ),
        (
            RpmManager::Zypper,
            "/etc/zypp/zypp.conf",
            "[main]\nreposdir=/srv/no\n",
            vec!["/srv/no/"],
            vec![],
        ),
        (
            RpmManager::Dnf5,
            "/etc/dnf/dnf.conf",
            "[main]\nreposdir=relative\n",
            vec![],
            vec!["usual"],
        ),
        (RpmManager::Dnf4, "/etc/yum.conf", main, vec![], vec!["usual"]),
    ] {
        let files = [
            (path, main),
            // Files of the same name do not hide each other.
            ("/srv/one/a.repo", one.as_str()),
            ("/srv/two/a.repo", two.as_str()),
            ("/etc/yum.repos.d/a.repo", usual.as_str()),
            ("/etc/zypp/repos.d/a.repo", usual.as_str()),
        ];
        let configuration = read(manager, &files);
        assert_eq!(configuration.named_folders(), folders, "{manager:?}");
        assert_eq!(ids(&configuration), expected, "{manager:?}");
    }
}

#[test]
fn services_of_zypper() {
    let service = ("/etc/zypp/services.d/x.service", "[x]\nenabled=1\nurl=plugin:x\n");
    let configuration = read(RpmManager::Zypper, &[service]);
    assert!(configuration.names_repositories() && ids(&configuration).is_empty());
    assert_eq!(configuration.index_addresses(&Variables::default()), None);
    assert!(!read(RpmManager::Zypper, &[]).names_repositories());
    assert!(!read(RpmManager::Dnf4, &[service]).names_repositories());
}

#[test]
fn dnf5_has_drop_ins_and_overrides() {
    let configuration = read(
        RpmManager::Dnf5,
        &[
            ("/usr/share/dnf5/libdnf.conf.d/20-a.conf", "[main]\ngpgcheck=1\ntsflags=nodocs\n"),
            ("/etc/dnf/libdnf5.conf.d/20-a.conf", "[main]\ngpgcheck=1\nexcludepkgs=a\n"),
            ("/etc/dnf/dnf.conf", "[main]\npkg_gpgcheck=1\nexcludepkgs=b\n"),
            ("/usr/share/dnf5/repos.d/base.repo", "[two]\nbaseurl=hidden\nenabled=1\n"),
            ("/etc/yum.repos.d/base.repo", "[fedora]\nbaseurl=http://e.org\n[two]\nbaseurl=x\n"),
            ("/etc/dnf/repos.override.d/99.repo", "[t*]\nenabled=0\n[fedora]\ngpgcheck=0\n"),
        ],
    );
    assert_eq!(ids(&configuration), ["fedora"]);
    assert_eq!(configuration.signatures(), Signatures::ByManager);
    assert_eq!(configuration.install_options(), [""; 0]);
    let held = |name| configuration.holds(&package(name, "1-1"));
    assert!(held("a.x86_64") && held("b.noarch") && !held("c.x86_64"));
}

#[test]
fn signatures() {
    use Signatures::{ByManager, Demanded, Mixed};
    for (manager, main, repositories, expected) in [
        (RpmManager::Dnf4, "", ["", ""], ByManager),
        (RpmManager::Dnf4, "gpgcheck=1", ["", ""], Demanded),
        (RpmManager::Dnf4, "gpgcheck=1", ["gpgcheck=0", ""], Mixed),
        (RpmManager::Yum, "gpgcheck=0", ["gpgcheck=Yes", "gpgcheck=ON"], Demanded),
        (RpmManager::Microdnf, "gpgcheck=maybe", ["gpgcheck=1", ""], Mixed),
        (RpmManager::Dnf5, "", ["", ""], ByManager),
        (RpmManager::Dnf5, "pkg_gpgcheck=1", ["gpgcheck=0", "gpgcheck=0"], ByManager),
        (RpmManager::Dnf5, "gpgcheck=1", ["pkg_gpgcheck=0", ""], Mixed),
        (RpmManager::Yum, "gpgcheck=1", ["gpgcheck=0", "gpgcheck: No ;as yet"], ByManager),
        (RpmManager::Yum, "gpgcheck=0", ["gpgcheck: 1", "GPGCHECK=1 ;so"], Demanded),
        (RpmManager::Yum, "gpgcheck=0", ["gpgcheck=$check", "gpgcheck="], Demanded),
        (RpmManager::Yum, "gpgcheck=maybe", ["gpgcheck=0", ""], Mixed),
        (RpmManager::Yum, "gpgcheck=0\ninclude=file:///etc/more", ["", ""], Demanded),
        (RpmManager::Yum, "[DEFAULT]\ngpgcheck=1", ["", ""], Demanded),
        (RpmManager::Yum, "", ["gpgcheck=0", "\n[DEFAULT]\ngpgcheck=1"], Mixed),
        (RpmManager::Tdnf, "gpgcheck=0", ["", ""], Demanded),
        (RpmManager::Tdnf, "", ["gpgcheck=maybe", "gpgcheck=0\nname=x\n gpgcheck=1"], Demanded),
        (RpmManager::Tdnf, "gpgcheck=1", ["gpgcheck=0", "gpgcheck=0"], ByManager),
        (RpmManager::Zypper, "gpgcheck=1", ["gpgcheck=1", ""], ByManager),
        (RpmManager::Zypper, "pkg_gpgcheck=1", ["", ""], Demanded),
        (RpmManager::Zypper, "pkg_gpgcheck=1", ["gpgcheck=1", ""], Mixed),
        (RpmManager::Zypper, "", ["pkg_gpgcheck=1", "pkg_gpgcheck=1\ngpgcheck=1"], Demanded),
    ] {
        let main = format!("\u{feff}[main]\n{main}\n");
        let [one, other] = repositories;
        let repositories = format!("[a]\nenabled=1\n{one}\n[b]\nenabled=1\n{other}\n");
        let mut files = vec![
            ("/etc/yum.repos.d/a.repo", repositories.as_str()),
            ("/etc/zypp/repos.d/a.repo", repositories.as_str()),
        ];
        for path in ["/etc/dnf/dnf.conf", "/etc/yum.conf", "/etc/tdnf/tdnf.conf"] {
            files.push((path, &main));
        }
        files.push(("/etc/zypp/zypp.conf", &main));
        let found = read(manager, &files).signatures();
        assert_eq!(found, expected, "{manager:?}, {main}, {repositories}");
    }
    let files = [
        ("/etc/yum.conf", "[main]\n"),
        ("/etc/yum/yum.conf", "[main]\ngpgcheck=1\n"),
        ("/etc/yum.repos.d/a.repo", "[a]\nbaseurl=http://e.org\n"),
    ];
    assert_eq!(read(RpmManager::Yum, &files).signatures(), Demanded);
}

#[test]
fn what_is_left_out_of_packages() {
    const ALL: &str =
        "nodocs noscripts,notriggers\n nocontexts nocaps test justdb nocrypto noplugins";
    let documentation = || vec!["--excludedocs"];
    let yum = vec!["--excludedocs", "--noscripts", "--notriggers", "--nocontexts"];
    let mut dnf = yum.clone();
    dnf.push("--nocaps");
    for (manager, path, value, expected) in [
        (RpmManager::Dnf4, "/etc/dnf/dnf.conf", ALL, dnf.clone()),
        (RpmManager::Dnf4, "/etc/dnf/dnf.conf", "\"a, nodocs\"", documentation()),
        (
            RpmManager::Dnf4,
            "/etc/dnf/dnf.conf",
            "nodocs\n[other]\ntsflags=noscripts",
            documentation(),
        ),
        (RpmManager::Dnf4, "/etc/yum.conf", "nodocs", vec![]),
        (RpmManager::Dnf5, "/usr/share/dnf5/libdnf.conf.d/a.conf", ALL, dnf),
        (RpmManager::Microdnf, "/etc/dnf/dnf.conf", ALL, documentation()),
        (RpmManager::Tdnf, "/etc/tdnf/tdnf.conf", ALL, documentation()),
        (RpmManager::Yum, "/etc/yum.conf", ALL, yum),
        (RpmManager::Zypper, "/etc/zypp/zypp.conf", ALL, vec![]),
        (
            RpmManager::Zypper,
            "/etc/zypp/zypp.conf",
            "\nrpm.install.excludedocs = yes",
            documentation(),
        ),
        (
            RpmManager::Zypper,
            "/usr/etc/zypp/zypp.conf.d/a.conf",
            "\nrpm.install.excludedocs=1",
            documentation(),
        ),
        (RpmManager::Zypper, "/etc/zypp/zypp.conf", "\nrpm.install.excludedocs=no", vec![]),
    ] {
        let configuration = read(manager, &[(path, &format!("[main]\ntsflags={value}\n"))]);
        assert_eq!(configuration.install_options(), expected, "{manager:?} {path} {value}");
    }
}

#[test]
fn keys_of_the_image() {
    let configuration = read(RpmManager::Dnf4, &[("/etc/yum.repos.d/lab.repo", LAB)]);
    let architecture = "x86_64".parse().unwrap();
    let variables = Variables::new(Some("9"), Some(&architecture));
    assert_eq!(configuration.local_keys(&variables), ["/etc/KEY", "/etc/pki/rpm-gpg/KEY-9-x86_64"]);
    assert_eq!(configuration.local_keys(&Variables::default()), ["/etc/KEY"]);
}

#[test]
fn folders_of_the_image() {
    let text = "[a]\nbaseurl=file:///srv/$basearch\n[b]\nbaseurl=http://x/y\n[c]\nbaseurl=/opt/a file:/b\n\
                [off]\nbaseurl=/off\nenabled=0\n";
    let configuration = read(RpmManager::Microdnf, &[("/etc/yum.repos.d/a.repo", text)]);
    let variables = Variables::new(Some("9"), Some(&"x86_64".parse().unwrap()));
    assert_eq!(configuration.local_folders(&variables), ["/b", "/opt/a", "/srv/x86_64"]);
}

#[test]
fn install_only() {
    let dnf = read(RpmManager::Dnf4, &[("/etc/dnf/dnf.conf", "[main]\ninstallonlypkgs=mine*\n")]);
    let zypper = read(
        RpmManager::Zypper,
        &[
            ("/etc/zypp/zypp.conf", "[main]\nmultiversion = provides:multiversion(kernel)\n"),
            ("/etc/zypp/multiversion.d/a", "# more\nlab-two\n"),
        ],
    );
    for (configuration, name, provides, expected) in [
        (&dnf, "kernel", "", true),
        (&dnf, "kernel-core", "installonlypkg(kernel)", true),
        (&dnf, "kernel-core", "kernel-core = 1-1", false),
        (&dnf, "mine-1", "", true),
        (&zypper, "kernel", "", false),
        (&zypper, "kernel-default", "multiversion(kernel)", true),
        (&zypper, "lab-two", "", true),
        (&read(RpmManager::Tdnf, &[]), "kernel", "installonlypkg(kernel)", false),
    ] {
        let provides = [provides.to_owned()];
        assert_eq!(
            configuration.is_install_only(&name.parse().unwrap(), &provides),
            expected,
            "{name} {provides:?}"
        );
    }
}

#[test]
fn excludes() {
    let repository = "[a]\nbaseurl=http://e.org\nexclude=only-a *.i686\n\
        [b]\nbaseurl=http://e.org\nincludepkgs=b* kernel\nenabled=1\n";
    let files = [
        ("/etc/dnf/dnf.conf", "[main]\nexclude=kernel*\nexcludepkgs=\n"),
        ("/etc/tdnf/tdnf.conf", "[main]\nexcludepkgs=lab-excluded\n"),
        ("/etc/yum.repos.d/a.repo", repository),
        ("/etc/zypp/repos.d/a.repo", repository),
    ];
    for (manager, name, expected) in [
        (RpmManager::Dnf4, "kernel-core.x86_64", true),
        (RpmManager::Dnf4, "kernel.x86_64", true),
        // One of two repositories still offers it.
        (RpmManager::Dnf4, "bash.i686", false),
        (RpmManager::Dnf4, "glibc.i686", true),
        (RpmManager::Dnf4, "glibc.x86_64", false),
        (RpmManager::Dnf4, "only-a.noarch", true),
        (RpmManager::Tdnf, "lab-excluded.x86_64", true),
        (RpmManager::Tdnf, "kernel.x86_64", false),
        (RpmManager::Zypper, "kernel.x86_64", false),
    ] {
        let held = read(manager, &files).holds(&package(name, "1-1"));
        assert_eq!(held, expected, "{manager:?} {name}");
    }
}

#[test]
fn versionlock_of_dnf_4_and_yum() {
    const LIST: &str = "# Added lock\nlab-locked-0:1.0-1.*\nglibc-2.34-100.el9\n2:openssl-3-1.x86_64\n\
        loose-0:1.*\n!bad-0:1.0-1.*\nname-only\nother-0:2.0-1.*\n";
    let dnf = [
        ("/etc/dnf/plugins/versionlock.list", LIST),
        (
            "/etc/dnf/plugins/versionlock.conf",
            "[main]\nenabled = 1\nlocklist = /etc/dnf/plugins/versionlock.list\n",
        ),
    ];
    for (name, version, expected) in [
        ("lab-locked.x86_64", "1.0-1", true),
        ("lab-locked.x86_64", "1:1.0-1", false),
        ("lab-locked.x86_64", "1.0-2", false),
        ("glibc.i686", "2.34-100.el9", true),
        ("openssl.x86_64", "2:3-1", true),
        ("openssl.i686", "2:3-1", false),
        ("loose.x86_64", "1.5-1", false),
        ("bad.x86_64", "1.0-1", false),
        ("name-only.x86_64", "1-1", false),
        ("other.x86_64", "1.0-1", false),
    ] {
        let held = read(RpmManager::Dnf4, &dnf).holds(&package(name, version));
        assert_eq!(held, expected, "{name} {version}");
        assert!(!read(RpmManager::Microdnf, &dnf).holds(&package(name, version)));
    }
    let locked = package("lab-locked.x86_64", "1.0-1");
    assert!(!read(RpmManager::Dnf4, &dnf[..1]).holds(&locked));
    let off = ("/etc/dnf/dnf.conf", "[main]\nplugins=0\n");
    assert!(!read(RpmManager::Dnf4, &[dnf[0], dnf[1], off]).holds(&locked));
    let yum = [
        ("/etc/yum/pluginconf.d/versionlock.list", "0:lab-locked-1.0-1.*\n"),
        (
            "/etc/yum/pluginconf.d/versionlock.conf",
            "[main]\nenabled = 1\nlocklist = /etc/yum/pluginconf.d/versionlock.list\n",
        ),
        ("/etc/yum.conf", "[main]\nplugins=1\n"),
    ];
    assert!(read(RpmManager::Yum, &yum).holds(&locked));
    assert!(!read(RpmManager::Yum, &yum[..2]).holds(&locked));
}

#[test]
fn locks_of_the_others() {
    let toml = "version = \"1.0\"\n\n[[packages]]\nname = \"lab-locked\"\ncomment = \"the lab's\"\n\
        [[packages.conditions]]\nkey = \"evr\"\ncomparator = \"=\"\nvalue = \"0:1.0-1\"\n\n\
        [[packages]]\nname = 'newer'\n[[packages.conditions]]\nkey = 'evr'\ncomparator = '>='\nvalue = '1'\n\
        [[packages]]\nname = \"no-condition\"\n";
    let zypp = "type: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: lab-lock*\n\n\
        type: package\nmatch_type: exact\nsolvable_name: NEWER\nsolvable_arch: x86_64\n\n\
        type: pattern\nmatch_type: glob\nsolvable_name: other\n\n\
        type: package\nrepo: base\nsolvable_name: other\n";
    let files = [
        ("/etc/dnf/versionlock.toml", toml),
        ("/etc/zypp/locks", zypp),
        ("/etc/tdnf/locks.d/lab.conf", "# mine\nlab-locked\n"),
    ];
    for (manager, name, expected) in [
        (RpmManager::Dnf5, "lab-locked.x86_64", true),
        (RpmManager::Dnf5, "newer.x86_64", false),
        (RpmManager::Dnf5, "no-condition.x86_64", false),
        (RpmManager::Zypper, "lab-locked.x86_64", true),
        (RpmManager::Zypper, "newer.x86_64", true),
        (RpmManager::Zypper, "newer.i586", false),
        (RpmManager::Zypper, "other.x86_64", false),
        (RpmManager::Tdnf, "lab-locked.x86_64", true),
        (RpmManager::Tdnf, "newer.x86_64", false),
        (RpmManager::Dnf4, "lab-locked.x86_64", false),
    ] {
        let held = read(manager, &files).holds(&package(name, "1.0-1"));
        assert_eq!(held, expected, "{manager:?} {name}");
    }
}

#[test]
fn addresses_of_indexes() {
    let architecture = "x86_64".parse().unwrap();
    let variables = Variables::new(Some("9.4"), Some(&architecture));
    let url = |text: &str| Some(vec![text.to_owned()]);
    for (lines, expected) in [
        ("baseurl=http://e.org/$basearch/", url("http://e.org/x86_64/repodata/repomd.xml")),
        ("baseurl=https://e.org/$stream", url("https://e.org/9-stream/repodata/repomd.xml")),
        ("baseurl=http://e.org\npath=/sub/", url("http://e.org/sub/repodata/repomd.xml")),
        ("baseurl=http://e.org http://e.net", None),
        ("baseurl=http://e.org\nmirrorlist=https://e.org/list", None),
        ("metalink=https://e.org/list", None),
        ("baseurl=file:///repo", None),
        ("baseurl=/repo", None),
        ("baseurl=dir:/repo", None),
        ("baseurl=ftp://e.org/", None),
        ("baseurl=http://user:secret@e.org/", None),
        ("baseurl=http://e.org/?token=x", None),
        ("baseurl=http://e.org/\nusername=me", None),
        ("baseurl=http://e.org/\nsslclientcert=/etc/x", None),
        ("baseurl=http://e.org/$unknown", None),
        ("name=nothing", None),
    ] {
        let text = format!("[a]\n{lines}\n");
        let files =
            [("/etc/yum.repos.d/a.repo", text.as_str()), ("/etc/dnf/vars/stream", "9-stream\n")];
        let found = read(RpmManager::Dnf4, &files).index_addresses(&variables);
        assert_eq!(found, expected, "{lines}");
    }
}

#[test]
fn too_much() {
    let mut many = String::new();
    for number in 0..=REPOSITORY_LIMIT {
        many.push_str(&format!("[{number}]\n"));
    }
    let parse = |files: &[(&'static str, &str)]| {
        let files = files.iter().map(|(path, text)| (*path, text.as_bytes()));
        RpmConfiguration::parse(RpmManager::Dnf5, files).unwrap_err().to_string()
    };
    for path in ["/etc/yum.repos.d/a.repo", "/etc/dnf/repos.override.d/a.repo"] {
        assert_eq!(
            parse(&[(path, &many)]),
            format!(
                "configuration of the package manager `{path}`: more than 1000 repositories or \
                 changes to them"
            )
        );
    }
}
