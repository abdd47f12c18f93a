//! suture: a `BuildKit` frontend that patches container images with their own package manager.
//!
//! `ARCHITECTURE.md` has the map; modules are listed here from the top layer to the bottom one.

pub mod frontend;

pub mod agent;

pub mod apply;
pub mod call;
pub mod deliver;
pub mod fetch;
pub mod notices;
pub mod own_image;
pub mod policy;
pub mod reports;

pub mod failure;

pub mod context;
pub mod freshness;
pub mod note;
pub mod probe;
pub mod subject;

pub mod gateway;

pub mod evidence;
pub mod fixes;
pub mod patch;
pub mod plan;
pub mod request;
pub mod result;
pub mod threshold;
pub mod verify;

pub mod distro;
pub mod image;
pub mod pkgdb;
pub mod report;
pub mod repository;

pub mod llb;

pub mod code;
pub mod digest;
pub mod glob;
pub mod ignore;
pub mod package;
pub mod platform;
pub mod reference;
pub mod version;

#[doc(hidden)]
pub mod pb;
