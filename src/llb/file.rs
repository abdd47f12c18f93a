//! File operations: a chain of actions on one tree.

use bytes::Bytes;

use crate::pb;

use super::{Display, EMPTY, Inputs, Output};

/// One change of a tree.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write a file.
    MakeFile {
        /// Absolute path.
        path: String,
        /// Permission bits.
        mode: i32,
        /// Content.
        data: Bytes,
    },
    /// Make a directory and its parents.
    MakeDirectory {
        /// Absolute path.
        path: String,
        /// Permission bits.
        mode: i32,
    },
    /// Copy from another tree, modes and times as they are.
    Copy {
        /// The other tree.
        from: Output,
        /// Absolute path in it.
        source: String,
        /// Absolute path here; ending in `/` means into that directory.
        destination: String,
    },
    /// Unpack an archive of another tree.
    Unpack {
        /// The other tree.
        from: Output,
        /// Absolute path of the archive.
        source: String,
        /// Absolute path of the directory here.
        destination: String,
    },
    /// Remove a file or a directory with all it holds.
    Remove {
        /// Absolute path.
        path: String,
    },
    /// Make a symbolic link.
    Symlink {
        /// What the link says.
        target: String,
        /// Where the link is.
        path: String,
    },
}

/// Leaves a time or a mode as it is; the format's 0 would mean 1970 and mode 000.
const KEEP: i64 = -1;

/// The tree after these actions, from `base` or from an empty tree.
pub fn apply(base: Option<&Output>, actions: &[Action], display: &Display) -> Output {
    let mut inputs = Inputs::default();
    let first = inputs.number_or_empty(base);
    let sources: Vec<i64> = actions
        .iter()
        .map(|action| match action {
            Action::Copy { from, .. } | Action::Unpack { from, .. } => inputs.number(from),
            _ => EMPTY,
        })
        .collect();
    let inputs_count = i64::try_from(inputs.0.len()).unwrap_or(i64::MAX);
    let mut capabilities = vec!["file.base"];
    if actions.iter().any(|action| matches!(action, Action::Symlink { .. })) {
        capabilities.push("file.symlink.create");
    }
    let last = actions.len().saturating_sub(1);
    let actions = (0i64..)
        .zip(actions.iter().zip(sources))
        .map(|(number, (action, secondary_input))| pb::FileAction {
            input: if number == 0 { first } else { inputs_count + number - 1 },
            secondary_input,
            output: if usize::try_from(number) == Ok(last) { 0 } else { EMPTY },
            action: Some(message(action)),
        })
        .collect();
    let op = pb::op::Op::File(pb::FileOp { actions });
    Output { vertex: Output::make(op, &inputs, None, display, &capabilities), index: 0 }
}

/// A tree with one more file.
pub fn make_file(
    base: Option<&Output>,
    path: &str,
    mode: i32,
    data: &[u8],
    display: &Display,
) -> Output {
    let data = Bytes::copy_from_slice(data);
    apply(base, &[Action::MakeFile { path: path.to_owned(), mode, data }], display)
}

fn message(action: &Action) -> pb::file_action::Action {
    use pb::file_action::Action as Message;
    match action {
        Action::MakeFile { path, mode, data } => Message::Mkfile(pb::FileActionMkFile {
            path: path.clone(),
            mode: *mode,
            data: data.clone(),
            owner: None,
            timestamp: KEEP,
        }),
        Action::MakeDirectory { path, mode } => Message::Mkdir(pb::FileActionMkDir {
            path: path.clone(),
            mode: *mode,
            make_parents: true,
            owner: None,
            timestamp: KEEP,
        }),
        Action::Copy { source, destination, .. } => Message::Copy(pb::FileActionCopy {
            src: source.clone(),
            dest: destination.clone(),
            mode: -1,
            create_dest_path: true,
            dir_copy_contents: true,
            timestamp: KEEP,
            ..Default::default()
        }),
        Action::Unpack { source, destination, .. } => Message::Copy(pb::FileActionCopy {
            src: source.clone(),
            dest: destination.clone(),
            mode: -1,
            attempt_unpack_docker_compatibility: true,
            timestamp: KEEP,
            ..Default::default()
        }),
        Action::Remove { path } => Message::Rm(pb::FileActionRm {
            path: path.clone(),
            allow_not_found: true,
            allow_wildcard: false,
        }),
        Action::Symlink { target, path } => Message::Symlink(pb::FileActionSymlink {
            oldpath: target.clone(),
            newpath: path.clone(),
            owner: None,
            timestamp: KEEP,
        }),
    }
}
