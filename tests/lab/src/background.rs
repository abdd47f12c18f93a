//! The verbs for processes that outlive the program that starts them: engines and servers.
//!
//! They are started as the running program itself, so every program of the lab understands them.

use std::path::Path;

use anyhow::Result;

use crate::folder::LabFolder;
use crate::own_engine::{self, Release};
use crate::repository_server;

/// Does what a program of the lab was started for in the background, if it was.
pub fn run(arguments: &[&str]) -> Option<Result<()>> {
    match arguments {
        ["inside", version] => Some(inside(version)),
        ["serve", address, root, log] => {
            Some(repository_server::serve(address, Path::new(root), Path::new(log)))
        }
        _ => None,
    }
}

/// Becomes the engine of a version, in the namespaces that were made for it.
fn inside(version: &str) -> Result<()> {
    own_engine::become_engine(&LabFolder::locate()?, Release::named(version)?)
}
