//! apt's sources in both forms: what is written again is read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::repository::apt::AptSources;

fuzz_target!(|bytes: &[u8]| {
    for file in ["a.list", "a.sources"] {
        let Ok(sources) = AptSources::parse([(file, bytes)]) else { continue };
        let small = sources.small(&["bookworm"]);
        let written = small.files();
        let again = AptSources::parse(written.iter().map(|(file, text)| (*file, text.as_bytes())))
            .expect("what was written can be read");
        assert_eq!(again.files(), written);
        assert_eq!(again.release_addresses(), small.release_addresses());
    }
});
