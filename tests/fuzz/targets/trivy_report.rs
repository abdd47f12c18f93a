//! Vulnerability reports.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suture::report::{self, ReportFormat};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(report) = report::parse(bytes, ReportFormat::Auto) {
        assert!(report.findings.is_sorted());
    }
});
