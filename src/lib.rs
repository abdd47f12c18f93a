//! suture: a `BuildKit` frontend that patches container images with their own package manager.

pub mod distro;
pub mod pkgdb;
pub mod report;
pub mod repository;

pub mod digest;
pub mod package;
pub mod reference;
pub mod version;

pub mod pb;
