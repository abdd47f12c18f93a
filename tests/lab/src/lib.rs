//! The offline world of suture's tests: an engine, images, and signed repositories with fixes.

pub mod apt_repository;
pub mod background;
pub mod build_context;
pub mod deb_package;
pub mod debian_packages;
pub mod debian_root;
pub mod digest;
pub mod docker_api;
pub mod engine;
pub mod folder;
pub mod frontend_image;
pub mod hermetic;
pub mod hermetic_packages;
pub mod lab_image;
pub mod network;
pub mod own_engine;
pub mod program;
pub mod recorded_process;
pub mod repository_server;
pub mod signing_key;
pub mod started_image;
pub mod stored_image;
pub mod trivy_report;
