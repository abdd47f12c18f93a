//! A readable form of a build graph, for snapshots and for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost::Message as _;

use crate::digest::Digest;
use crate::pb;

/// One paragraph per operation, inputs first, numbered in that order; the last line names the output.
/// An operation that cannot be decoded is shown as such.
pub fn describe(definition: &pb::Definition) -> String {
    let numbers: BTreeMap<String, usize> = definition
        .def
        .iter()
        .enumerate()
        .map(|(number, bytes)| (Digest::of(bytes).as_str().to_owned(), number))
        .collect();
    let mut text = String::new();
    for (number, bytes) in definition.def.iter().enumerate() {
        let Ok(op) = pb::Op::decode(bytes.clone()) else {
            line(&mut text, format_args!("{number} undecodable"));
            continue;
        };
        let inputs: Vec<String> = op
            .inputs
            .iter()
            .map(|input| {
                let number = numbers.get(&input.digest).map_or("?".to_owned(), usize::to_string);
                format!("{number}.{}", input.index)
            })
            .collect();
        let metadata = definition.metadata.get(Digest::of(bytes).as_str());
        describe_operation(&mut text, number, &op, &inputs, metadata);
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _: std::fmt::Result = writeln!(text, "{arguments}");
}

/// The input a number means; -1 is an empty tree.
fn input(inputs: &[String], number: i64) -> String {
    usize::try_from(number).map_or_else(
        |_| "empty".to_owned(),
        |number| {
            let action = || format!("action {}", number - inputs.len());
            inputs.get(number).cloned().unwrap_or_else(action)
        },
    )
}

fn describe_operation(
    text: &mut String,
    number: usize,
    op: &pb::Op,
    inputs: &[String],
    metadata: Option<&pb::OpMetadata>,
) {
    match &op.op {
        None => line(text, format_args!("{number} result {}", inputs.join(" "))),
        Some(pb::op::Op::Source(source)) => {
            line(text, format_args!("{number} source {}", source.identifier));
            for (key, value) in &source.attrs {
                line(text, format_args!("  {key} = {value}"));
            }
        }
        Some(pb::op::Op::Merge(_)) => {
            line(text, format_args!("{number} merge {}", inputs.join(" ")));
        }
        Some(pb::op::Op::Diff(_)) => {
            line(text, format_args!("{number} diff {}", inputs.join(" ")));
        }
        Some(pb::op::Op::File(file)) => {
            line(text, format_args!("{number} file"));
            for action in &file.actions {
                describe_action(text, action, inputs);
            }
        }
        Some(pb::op::Op::Exec(exec)) => describe_exec(text, number, exec, inputs),
    }
    if let Some(platform) = &op.platform {
        let variant =
            if platform.variant.is_empty() { "" } else { &format!("/{}", platform.variant) };
        line(text, format_args!("  platform {}/{}{variant}", platform.os, platform.architecture));
    }
    if let Some(metadata) = metadata {
        if let Some(name) = metadata.description.get(super::CUSTOM_NAME) {
            line(text, format_args!("  name {name}"));
        }
        if metadata.ignore_cache {
            line(text, format_args!("  ignore cache"));
        }
    }
}

fn describe_action(text: &mut String, action: &pb::FileAction, inputs: &[String]) {
    use pb::file_action::Action;
    let base = input(inputs, action.input);
    let what = match &action.action {
        None => "nothing".to_owned(),
        Some(Action::Mkfile(file)) => {
            let data = String::from_utf8_lossy(&file.data);
            format!("make file {} {:o} {data}", file.path, file.mode)
        }
        Some(Action::Mkdir(directory)) => {
            format!("make directory {} {:o}", directory.path, directory.mode)
        }
        Some(Action::Copy(copy)) => {
            let from = input(inputs, action.secondary_input);
            format!("copy {from}:{} to {}", copy.src, copy.dest)
        }
        Some(Action::Rm(remove)) => format!("remove {}", remove.path),
        Some(Action::Symlink(link)) => format!("link {} to {}", link.newpath, link.oldpath),
    };
    line(text, format_args!("  on {base}: {what}"));
}

fn describe_exec(text: &mut String, number: usize, exec: &pb::ExecOp, inputs: &[String]) {
    let meta = exec.meta.clone().unwrap_or_default();
    let network = match exec.network() {
        pb::NetMode::Unset => "sandbox",
        pb::NetMode::Host => "host",
        pb::NetMode::None => "none",
    };
    line(text, format_args!("{number} exec {:?}", meta.args));
    line(text, format_args!("  network {network}, user {:?}, in {}", meta.user, meta.cwd));
    for variable in &meta.env {
        line(text, format_args!("  env {variable}"));
    }
    for (what, name) in [("hostname", &meta.hostname), ("control group below", &meta.cgroup_parent)]
    {
        if !name.is_empty() {
            line(text, format_args!("  {what} {name}"));
        }
    }
    for host in &meta.extra_hosts {
        line(text, format_args!("  host {}={}", host.host, host.ip));
    }
    for limit in &meta.ulimit {
        line(text, format_args!("  ulimit {}={}:{}", limit.name, limit.soft, limit.hard));
    }
    if let Some(proxy) = &meta.proxy_env {
        line(text, format_args!("  proxy {proxy:?}"));
    }
    for mount in &exec.mounts {
        let from = input(inputs, mount.input);
        let mut words = match mount.mount_type() {
            pb::MountType::Bind => vec![from],
            pb::MountType::Secret => {
                vec![format!("secret {}", mount.secret_opt.clone().unwrap_or_default().id)]
            }
            pb::MountType::Ssh => {
                vec![format!("ssh {}", mount.ssh_opt.clone().unwrap_or_default().id)]
            }
            pb::MountType::Tmpfs => {
                vec![format!("tmpfs {}", mount.tmpfs_opt.unwrap_or_default().size)]
            }
            pb::MountType::Cache => {
                let option = mount.cache_opt.clone().unwrap_or_default();
                let sharing = option.sharing().as_str_name();
                vec![format!("cache {} {sharing}", option.id)]
            }
        };
        if !mount.selector.is_empty() {
            words.push(format!("at {}", mount.selector));
        }
        if mount.readonly {
            words.push("read-only".to_owned());
        }
        if mount.content_cache() == pb::MountContentCache::Off {
            words.push("keyed by definition".to_owned());
        }
        if mount.output >= 0 && mount.mount_type() == pb::MountType::Bind {
            words.push(format!("output {}", mount.output));
        }
        line(text, format_args!("  mount {} = {}", mount.dest, words.join(", ")));
    }
}
