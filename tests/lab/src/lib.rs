//! The offline world of suture's tests: an engine, images, and signed repositories with fixes.

pub mod alpine;
pub mod alpine_packages;
pub mod alpine_root;
pub mod apk_package;
pub mod apk_repository;
pub mod apt_repository;
pub mod background;
pub mod bench;
pub mod build_context;
pub mod buildkit;
pub mod deb_package;
pub mod debian_packages;
pub mod debian_root;
pub mod demo;
pub mod digest;
pub mod docker_api;
pub mod emulator;
pub mod engine;
pub mod family;
pub mod file_tree;
pub mod folder;
pub mod frontend_image;
pub mod hermetic;
pub mod hermetic_packages;
pub mod lab_image;
pub mod network;
pub mod own_engine;
pub mod program;
pub mod recorded_process;
pub mod registry;
pub mod repository_server;
pub mod rpm_batch;
pub mod rpm_catalogue;
pub mod rpm_content;
pub mod rpm_image;
pub mod rpm_module;
pub mod rpm_package;
pub mod rpm_repository;
pub mod rpm_root;
pub mod rpm_small_packages;
pub mod rpm_tools;
pub mod rpm_worlds;
pub mod rsa_key;
pub mod service;
pub mod signing_key;
pub mod source_image;
pub mod started_image;
pub mod stored_image;
pub mod test_stages;
pub mod trivy_report;
pub mod unpacked_system;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// What a page tells people to type has to work: `scenarios/docs-*` run it.
    #[test]
    fn commands_of_the_documentation_are_run() {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let scenarios = fs::read_dir(lab.join("scenarios")).unwrap();
        let texts = scenarios.map(|entry| read(&entry.unwrap().path().join("scenario.toml")));
        let texts = texts.collect::<Vec<_>>().concat();
        for entry in fs::read_dir(lab.join("../../docs")).unwrap() {
            let path = entry.unwrap().path();
            let has_commands =
                path.extension().is_some_and(|it| it == "md") && read(&path).contains("\n```sh\n");
            let name = path.file_name().unwrap().to_string_lossy();
            let command = format!("documented.sh docs/{name} ");
            assert!(!has_commands || texts.contains(&command), "no scenario runs docs/{name}");
        }
    }
}
