//! The offline world of suture's tests: an engine, images, and signed repositories with fixes.

pub mod alpine;
pub mod alpine_packages;
pub mod alpine_root;
pub mod apk_package;
pub mod apk_repository;
pub mod apt_repository;
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
pub mod rsa_key;
pub mod signing_key;
