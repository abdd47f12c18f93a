//! suture: a `BuildKit` frontend that patches container images with their own package manager.
//!
//! `ARCHITECTURE.md` has the map; modules stand here from the top layer to the bottom one.

pub mod request;

pub mod gateway;

pub mod patch;

pub mod distro;
pub mod image;
pub mod pkgdb;
pub mod report;
pub mod repository;

pub mod llb;

pub mod code;
pub mod digest;
pub mod package;
pub mod platform;
pub mod reference;
pub mod version;

#[doc(hidden)]
pub mod pb;
