//! Exec: a process in a container made of mounts.

use crate::pb;
use crate::platform::Platform;

use super::{Display, EMPTY, Inputs, Output, Vertex};

use std::sync::Arc;

/// A process to run; the root filesystem is writable and its result an output.
#[derive(Clone, Debug)]
pub struct Exec {
    /// Argument vector; no shell reads it.
    pub arguments: Vec<String>,
    /// Environment, in the order given.
    pub environment: Vec<(String, String)>,
    /// Working directory, absolute.
    pub directory: String,
    /// User, resolved in the root filesystem.
    pub user: String,
    /// The root filesystem; `None` is an empty one.
    pub root: Option<Output>,
    /// Everything mounted into it.
    pub mounts: Vec<Mount>,
    /// What the process can reach.
    pub network: Network,
    /// Limits and names that the user's build asks for.
    pub sandbox: Sandbox,
    /// What the process runs as.
    pub platform: Platform,
}

/// What the user's build asks of every container (`--add-host`, `--ulimit`, `--shm-size`, …).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Additional (host, address) pairs.
    pub extra_hosts: Vec<(String, String)>,
    /// Limits by name.
    pub ulimits: Vec<Ulimit>,
    /// Host name; empty means the daemon's default.
    pub hostname: String,
    /// Parent of the container's control group.
    pub cgroup_parent: String,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<i64>,
    /// Proxies, which are not part of a cache key.
    pub proxy: Proxy,
}

/// One limit of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// Name, such as `nofile`.
    pub name: String,
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// Proxy settings of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// `HTTP_PROXY`
    pub http: String,
    /// `HTTPS_PROXY`
    pub https: String,
    /// `FTP_PROXY`
    pub ftp: String,
    /// `NO_PROXY`
    pub no_proxy: String,
    /// `ALL_PROXY`
    pub all: String,
}

/// What a process can reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// A network of its own, as the daemon is set up.
    #[default]
    Sandbox,
    /// The daemon's; the client must allow it.
    Host,
    /// Nothing.
    None,
}

/// Something mounted below the root.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Absolute path in the container.
    pub destination: String,
    /// What is there.
    pub kind: MountKind,
}

/// The kinds of mounts.
#[derive(Clone, Debug)]
pub enum MountKind {
    /// Writable, and an output of the operation.
    Output(Option<Output>),
    /// Writable, changes are dropped.
    Scratch(Option<Output>),
    /// A tree, or what is at a path in it.
    ReadOnly {
        /// The tree.
        tree: Output,
        /// Path in the tree; empty is the whole.
        selector: String,
        /// Whether the tree's content is part of the cache key.
        content: ContentKey,
    },
    /// Kept by the daemon between builds.
    Cache {
        /// Name, global to the daemon.
        id: String,
        /// What happens when two builds want it at once.
        sharing: Sharing,
    },
    /// In memory.
    Tmpfs {
        /// Bytes; `None` is no limit.
        size: Option<i64>,
    },
    /// A secret of the client, as a file.
    Secret {
        /// Its name.
        id: String,
        /// Whether the build continues without it.
        optional: bool,
    },
    /// The client's SSH agent.
    Ssh {
        /// Its name.
        id: String,
        /// Whether the build continues without it.
        optional: bool,
    },
}

/// How a read-only tree enters the cache key of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentKey {
    /// By its content, which the daemon must read whole.
    Content,
    /// By how it was made.
    Definition,
}

/// What happens when two builds want a cache at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Both use it.
    Shared,
    /// The second gets a new one.
    Private,
    /// The second waits.
    Locked,
}

/// The outputs of an exec.
#[derive(Clone, Debug)]
pub struct Executed {
    vertex: Arc<Vertex>,
    destinations: Vec<String>,
}

impl Executed {
    /// The root filesystem after the process.
    pub fn root(&self) -> Output {
        Output { vertex: Arc::clone(&self.vertex), index: 0 }
    }

    /// The tree of the [`MountKind::Output`] at this path.
    pub fn output(&self, destination: &str) -> Option<Output> {
        let index = self.destinations.iter().position(|known| known == destination)?;
        Some(Output { vertex: Arc::clone(&self.vertex), index: i64::try_from(index).ok()? })
    }
}

impl Exec {
    /// The operation.
    pub fn build(&self, display: &Display) -> Executed {
        let mut capabilities =
            vec!["exec.meta.base", "exec.meta.setsdefaultpath", "exec.mount.bind"];
        let mut inputs = Inputs::default();
        let mut destinations = vec!["/".to_owned()];
        let mut mounts = vec![pb::Mount {
            input: inputs.number_or_empty(self.root.as_ref()),
            dest: "/".to_owned(),
            output: 0,
            ..Default::default()
        }];
        for mount in self.ordered_mounts() {
            let (message, needs) = mount_message(&mount, &mut inputs, &mut destinations);
            mounts.push(message);
            capabilities.extend(needs);
        }
        let sandbox = &self.sandbox;
        let rules = [
            (self.network != Network::Sandbox, "exec.meta.network"),
            (sandbox.proxy != Proxy::default(), "exec.meta.proxyenv"),
            (!sandbox.ulimits.is_empty(), "exec.meta.ulimit"),
        ];
        capabilities.extend(rules.iter().filter(|(used, _)| *used).map(|(_, id)| *id));
        let op = pb::op::Op::Exec(pb::ExecOp {
            meta: Some(self.meta()),
            mounts,
            network: match self.network {
                Network::Sandbox => pb::NetMode::Unset,
                Network::Host => pb::NetMode::Host,
                Network::None => pb::NetMode::None,
            }
            .into(),
            ..Default::default()
        });
        let vertex = Output::make(op, &inputs, Some(&self.platform), display, &capabilities);
        Executed { vertex, destinations }
    }

    /// Go's client sorts by path and puts secrets, then SSH agents, last.
    fn ordered_mounts(&self) -> Vec<Mount> {
        let mut mounts = self.mounts.clone();
        if let Some(size) = self.sandbox.shm_size {
            let kind = MountKind::Tmpfs { size: Some(size) };
            mounts.push(Mount { destination: "/dev/shm".to_owned(), kind });
        }
        mounts.sort_by_key(|mount| {
            let rank = match mount.kind {
                MountKind::Secret { .. } => 1,
                MountKind::Ssh { .. } => 2,
                _ => 0,
            };
            (rank, mount.destination.clone())
        });
        mounts
    }

    fn meta(&self) -> pb::Meta {
        let Sandbox { extra_hosts, ulimits, hostname, cgroup_parent, proxy, .. } = &self.sandbox;
        pb::Meta {
            args: self.arguments.clone(),
            env: self.environment.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            cwd: self.directory.clone(),
            user: self.user.clone(),
            proxy_env: (*proxy != Proxy::default()).then(|| pb::ProxyEnv {
                http_proxy: proxy.http.clone(),
                https_proxy: proxy.https.clone(),
                ftp_proxy: proxy.ftp.clone(),
                no_proxy: proxy.no_proxy.clone(),
                all_proxy: proxy.all.clone(),
            }),
            extra_hosts: extra_hosts
                .iter()
                .map(|(host, ip)| pb::HostIp { host: host.clone(), ip: ip.clone() })
                .collect(),
            hostname: hostname.clone(),
            ulimit: ulimits
                .iter()
                .map(|Ulimit { name, soft, hard }| pb::Ulimit {
                    name: name.clone(),
                    soft: *soft,
                    hard: *hard,
                })
                .collect(),
            cgroup_parent: cgroup_parent.clone(),
            // The capability of this field is announced by no release, so it is not listed.
            remove_mount_stubs_recursive: true,
            valid_exit_codes: Vec::new(),
        }
    }
}

fn mount_message(
    mount: &Mount,
    inputs: &mut Inputs,
    destinations: &mut Vec<String>,
) -> (pb::Mount, Vec<&'static str>) {
    let dest = mount.destination.clone();
    let plain = pb::Mount { input: EMPTY, dest, output: EMPTY, ..Default::default() };
    match &mount.kind {
        MountKind::Output(base) => {
            // Outputs are numbered in mount order; the root is number 0.
            let output = i64::try_from(destinations.len()).unwrap_or(i64::MAX);
            destinations.push(mount.destination.clone());
            (pb::Mount { input: inputs.number_or_empty(base.as_ref()), output, ..plain }, vec![])
        }
        MountKind::Scratch(base) => (
            pb::Mount { input: inputs.number_or_empty(base.as_ref()), ..plain },
            vec!["exec.mount.bind.readwrite-nooutput"],
        ),
        MountKind::ReadOnly { tree, selector, content } => {
            let mut needs = Vec::new();
            if !selector.is_empty() {
                needs.push("exec.mount.selector");
            }
            let content_cache = match content {
                ContentKey::Content => pb::MountContentCache::Default,
                ContentKey::Definition => {
                    needs.push("exec.mount.cache.content");
                    pb::MountContentCache::Off
                }
            };
            let message = pb::Mount {
                input: inputs.number(tree),
                selector: selector.clone(),
                readonly: true,
                content_cache: content_cache.into(),
                ..plain
            };
            (message, needs)
        }
        MountKind::Cache { id, sharing } => {
            let sharing = match sharing {
                Sharing::Shared => pb::CacheSharing::Shared,
                Sharing::Private => pb::CacheSharing::Private,
                Sharing::Locked => pb::CacheSharing::Locked,
            };
            let option = pb::CacheOpt { id: id.clone(), sharing: sharing.into() };
            let message = pb::Mount {
                mount_type: pb::MountType::Cache.into(),
                cache_opt: Some(option),
                ..plain
            };
            (message, vec!["exec.mount.cache", "exec.mount.cache.sharing"])
        }
        MountKind::Tmpfs { size } => {
            let mut needs = vec!["exec.mount.tmpfs"];
            if size.is_some() {
                needs.push("exec.mount.tmpfs.size");
            }
            let message = pb::Mount {
                mount_type: pb::MountType::Tmpfs.into(),
                tmpfs_opt: Some(pb::TmpfsOpt { size: size.unwrap_or(0) }),
                ..plain
            };
            (message, needs)
        }
        MountKind::Secret { id, optional } => {
            let option =
                pb::SecretOpt { id: id.clone(), mode: 0o400, optional: *optional, uid: 0, gid: 0 };
            let message = pb::Mount {
                output: 0,
                mount_type: pb::MountType::Secret.into(),
                secret_opt: Some(option),
                ..plain
            };
            (message, vec!["exec.mount.secret"])
        }
        MountKind::Ssh { id, optional } => {
            let option =
                pb::SecretOpt { id: id.clone(), mode: 0o600, optional: *optional, uid: 0, gid: 0 };
            let message = pb::Mount {
                output: 0,
                mount_type: pb::MountType::Ssh.into(),
                ssh_opt: Some(option),
                ..plain
            };
            (message, vec!["exec.mount.ssh"])
        }
    }
}
