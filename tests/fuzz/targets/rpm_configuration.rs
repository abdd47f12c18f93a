//! The configuration of the rpm family's managers: one input as every file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::repository::rpm::{RpmManager, FILES, FOLDERS, RpmConfiguration, Variables};

fuzz_target!(|bytes: &[u8]| {
    let in_folders = FOLDERS.iter().map(|(folder, ending)| format!("{folder}/macros{ending}"));
    let paths: Vec<String> =
        FILES.iter().map(|path| (*path).to_owned()).chain(in_folders).collect();
    for manager in [RpmManager::Dnf4, RpmManager::Dnf5, RpmManager::Tdnf, RpmManager::Yum, RpmManager::Zypper] {
        let files = paths.iter().map(|path| (path.as_str(), bytes));
        let Ok(read) = RpmConfiguration::parse(manager, files) else { continue };
        let variables = Variables::new(Some("9.4"), None);
        assert!(read.names_repositories() || read.index_addresses(&variables) == Some(Vec::new()));
        let _unused = (read.local_keys(&variables), read.signatures());
    }
});
