use super::*;

fn read(text: &str) -> Result<Report, ReportError> {
    parse(text.as_bytes(), ReportFormat::Auto)
}

/// A Trivy report with these results.
fn with_results(results: &str) -> String {
    format!(r#"{{"SchemaVersion": 2, "ArtifactName": "x", "Results": {results}}}"#)
}

/// A Trivy report with these findings in packages of the distribution.
fn with_findings(findings: &str) -> String {
    with_results(&format!(r#"[{{"Class": "os-pkgs", "Vulnerabilities": {findings}}}]"#))
}

fn finding(changed: &str) -> String {
    format!(r#"{{"VulnerabilityID": "CVE-1", "PkgName": "a", "InstalledVersion": "1"{changed}}}"#)
}

fn show(finding: &Finding) -> String {
    let architecture = finding.architecture.as_ref().map_or("-", Architecture::as_str);
    format!(
        "{} {}:{architecture} {} -> {} {}",
        finding.id,
        finding.package,
        finding.installed,
        finding.fixed.join("|"),
        finding.severity
    )
}

#[test]
fn bookworm() {
    let text = include_str!("../../tests/data/reports/trivy-bookworm.json");
    let report = read(text).unwrap();
    let shown: Vec<String> = report.findings.iter().map(show).collect();
    assert_eq!(
        shown,
        [
            "CVE-2026-1002 apt:amd64 2.6.1 -> 2.6.2 medium",
            "CVE-2026-1002 libapt-pkg6.0:amd64 2.6.1 -> 2.6.2 medium",
            "CVE-2026-1006 libc-bin:amd64 2.36-9+deb12u14 -> 2.36-9+deb12u99 critical",
            "CVE-2026-1006 libc6:amd64 2.36-9+deb12u14 -> 2.36-9+deb12u99 critical",
            "CVE-2026-1001 liblzma5:amd64 5.4.1-1+deb12u1 -> 5.4.1-1+deb12u2 critical",
            "CVE-2026-1003 libpcre2-8-0:amd64 10.42-1 -> 10.42-1+deb12u2 low",
            "CVE-2026-1000 perl-base:amd64 5.36.0-7+deb12u3 -> 5.36.0-7+deb12u4 high",
            "CVE-2026-1007 zlib1g:amd64 1:1.2.13.dfsg-1 ->  high",
        ]
    );
    assert_eq!(report.library_findings, 0);
    let os = report.os.as_ref().unwrap();
    assert_eq!((os.family.as_str(), os.name.as_str()), ("debian", "12.15"));
    assert_eq!(report.image.artifact_name, "lab-bookworm:1");
    let id = "sha256:09a062f49d90009d2d2b0ebbe90b0647c679b29b5b2326df265f15794234f896";
    assert_eq!(report.image.image_id.as_ref().unwrap().as_str(), id);
    assert_eq!(report.image.diff_ids.len(), 2);
    assert_eq!(report.image.repo_digests, [id.parse().unwrap()]);
    assert_eq!(parse(text.as_bytes(), ReportFormat::Trivy).unwrap(), report);
}

/// A report of Trivy before 0.20 with one result.
fn array(target: &str, findings: &str) -> String {
    format!(r#"[{{"Target": "{target}", "Vulnerabilities": [{findings}]}}]"#)
}

#[test]
fn the_array_of_older_releases() {
    let text = include_str!("../../tests/data/reports/trivy-bookworm-array.json");
    let report = read(text).unwrap();
    let newer = read(include_str!("../../tests/data/reports/trivy-bookworm.json")).unwrap();
    let without_architecture = |findings: &[Finding]| -> Vec<Finding> {
        findings.iter().cloned().map(|it| Finding { architecture: None, ..it }).collect()
    };
    assert_eq!(report.findings, without_architecture(&newer.findings));
    assert_eq!(report.os, newer.os);
    assert_eq!(report.library_findings, 1);
    let artifact_name = "lab-bookworm:1".to_owned();
    assert_eq!(report.image, ReportedImage { artifact_name, ..ReportedImage::default() });
    assert_eq!(parse(text.as_bytes(), ReportFormat::Trivy).unwrap(), report);
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(read(&turn(&value)).unwrap(), report);
}

#[test]
fn targets_of_older_releases() {
    for (target, os) in [
        (r#"x (alpine 3.10.2)", "Type": "alpine"#, Some(("alpine", "3.10.2"))),
        (r#"x (debian bookworm/sid)", "Type": "debian"#, Some(("debian", "bookworm/sid"))),
        (r#"x (amazon 2 (Karoo))", "Type": "amazon"#, Some(("amazon", "2 (Karoo)"))),
        (r#"a (b).tar (centos 7.6)", "Type": "centos"#, Some(("centos", "7.6"))),
        ("x (alpine 3.10.2)", Some(("alpine", "3.10.2"))),
        ("x (amazon 2 (Karoo))", Some(("amazon", "2 (Karoo)"))),
        ("x (suse linux enterprise server 15.1)", Some(("suse linux enterprise server", "15.1"))),
        (r#"x (alpine 3.10.2)", "Type": "npm"#, None),
        (r#"app/package-lock.json", "Type": "npm"#, None),
        ("app/package-lock.json", None),
        ("app (old)/composer.lock", None),
        ("app (old)", None),
    ] {
        let report = read(&array(target, &finding(""))).unwrap();
        let counts = (report.findings.len(), report.library_findings);
        assert_eq!(counts, if os.is_some() { (1, 0) } else { (0, 1) }, "{target}");
        let found = report.os.as_ref().map(|os| (os.family.as_str(), os.name.as_str()));
        assert_eq!(found, os, "{target}");
    }
    let error = read(&array("x (alpine 3.10)", r#"{"PkgName": "a"}"#)).unwrap_err();
    assert_eq!(error.to_string(), "report lacks `VulnerabilityID` in [0].Vulnerabilities[0]");
}

#[test]
fn other_images() {
    for (text, findings, family) in [
        (include_str!("../../tests/data/reports/trivy-distroless.json"), 6, "debian"),
        (include_str!("../../tests/data/reports/trivy-alpine.json"), 7, "alpine"),
        (include_str!("../../tests/data/reports/trivy-almalinux.json"), 8, "alma"),
    ] {
        let report = read(text).unwrap();
        assert_eq!(report.findings.len(), findings, "{family}");
        assert_eq!(report.os.unwrap().family, family);
    }
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let text = include_str!("../../tests/data/reports/trivy-bookworm.json");
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    let turned = turn(&value);
    assert_ne!(turned, text);
    assert_eq!(read(&turned).unwrap(), read(text).unwrap());
}

/// The same JSON with the keys of every object backwards.
fn turn(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(object) => {
            let fields = object.iter().rev();
            let fields: Vec<_> = fields
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), turn(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(turn).collect::<Vec<_>>().join(","))
        }
        _ => value.to_string(),
    }
}

#[test]
fn what_trivy_leaves_out() {
    for text in [
        r#"{"SchemaVersion": 2}"#.to_owned(),
        format!("\u{feff}{}", with_results("[]")),
        with_results("null"),
        with_results(r#"[{"Target": "x", "Class": "os-pkgs"}]"#),
        with_results(r#"[{"Target": "x"}]"#),
        with_results(r#"[{"Class": "secret", "Secrets": [{}]}]"#),
        with_findings("null"),
        with_findings("[]"),
        r#"{"SchemaVersion": 2, "Metadata": null, "ArtifactName": null, "Results": null}"#
            .to_owned(),
        r#"{"SchemaVersion": 2, "Metadata": {"OS": null, "DiffIDs": null, "ImageID": ""}}"#
            .to_owned(),
        r#"{"SchemaVersion": 2, "Metadata": {"OS": {"Family": "none", "Name": ""}}}"#.to_owned(),
        r#"{"SchemaVersion": 2, "Metadata": {"ImageID": "x", "RepoDigests": ["a@b", ""]}}"#
            .to_owned(),
    ] {
        let report = read(&text).unwrap();
        assert_eq!((report.findings, report.library_findings), (Vec::new(), 0), "{text}");
        assert_eq!(report.os, None, "{text}");
        assert_eq!(
            (report.image.image_id, report.image.repo_digests),
            (None, Vec::new()),
            "{text}"
        );
    }
    let report = read(&with_findings(&format!("[{}]", finding("")))).unwrap();
    assert_eq!(show(&report.findings[0]), "CVE-1 a:- 1 ->  unknown");
}

#[test]
fn details_of_findings() {
    for (changed, shown) in [
        (r#", "FixedVersion": "2, 3,4 ,""#, "CVE-1 a:- 1 -> 2|3|4 unknown"),
        (r#", "FixedVersion": null"#, "CVE-1 a:- 1 ->  unknown"),
        (r#", "Severity": "High""#, "CVE-1 a:- 1 ->  high"),
        (r#", "Severity": "DREADFUL""#, "CVE-1 a:- 1 ->  unknown"),
        (
            r#", "PkgIdentifier": {"PURL": "pkg:deb/x/a@1?epoch=1&arch=arm64#p"}"#,
            "CVE-1 a:arm64 1 ->  unknown",
        ),
        (r#", "PkgIdentifier": {"PURL": "pkg:deb/x/a@1"}"#, "CVE-1 a:- 1 ->  unknown"),
        (r#", "PkgIdentifier": {"PURL": "pkg:deb/x/a@1?arch="}"#, "CVE-1 a:- 1 ->  unknown"),
        (r#", "PkgIdentifier": null"#, "CVE-1 a:- 1 ->  unknown"),
        (r#", "Title": "\u0000 \ud83d\ude00 é""#, "CVE-1 a:- 1 ->  unknown"),
    ] {
        let report = read(&with_findings(&format!("[{}]", finding(changed)))).unwrap();
        assert_eq!(show(&report.findings[0]), shown, "{changed}");
    }
}

#[test]
fn the_same_finding_counts_once() {
    let one = finding("");
    let results = format!(r#"{{"Class": "os-pkgs", "Vulnerabilities": [{one}, {one}]}}"#);
    let report = read(&with_results(&format!("[{results}, {results}]"))).unwrap();
    assert_eq!(report.findings.len(), 1);
}

#[test]
fn libraries_are_counted() {
    let npm = r#"{"VulnerabilityID": "GHSA-1", "PkgName": "@babel/core", "InstalledVersion": "1"}"#;
    for result in [
        format!(r#"{{"Class": "lang-pkgs", "Vulnerabilities": [{npm}, {npm}]}}"#),
        format!(r#"{{"Vulnerabilities": [{npm}, {npm}], "Class": "lang-pkgs"}}"#),
    ] {
        let report = read(&with_results(&format!("[{result}]"))).unwrap();
        assert_eq!((report.findings.len(), report.library_findings), (0, 2), "{result}");
    }
}

#[test]
fn texts_that_are_no_report() {
    let not_json = "report is not JSON at line 1, column";
    let deep = |count| format!("{}{}", "[".repeat(count), "]".repeat(count));
    for (text, message) in [
        (String::new(), "report is empty".to_owned()),
        (" \n\t ".to_owned(), "report is empty".to_owned()),
        ("\u{feff}".to_owned(), "report is empty".to_owned()),
        ("{\n \"Sch".to_owned(), "report is cut off at line 2, column 5".to_owned()),
        (
            "{\"SchemaVersion\": 2, \"Results\": [{".to_owned(),
            "report is cut off at line 1, column 34".to_owned(),
        ),
        ("x".to_owned(), format!("{not_json} 1: expected value")),
        ("\0\0".to_owned(), format!("{not_json} 1: expected value")),
        ("{} {}".to_owned(), format!("{not_json} 4: trailing characters")),
        ("<html>".to_owned(), format!("{not_json} 1: expected value")),
        (deep(65), "report is nested more than 64 levels deep".to_owned()),
        (
            format!(r#"{{"x": {}}}"#, deep(64)),
            "report is nested more than 64 levels deep".to_owned(),
        ),
        ("[".repeat(1_000_000), "report is nested more than 64 levels deep".to_owned()),
    ] {
        assert_eq!(read(&text).unwrap_err().to_string(), message, "{text:.300}");
    }
}

#[test]
fn other_json() {
    let with_wrong = |changed| with_findings(&format!("[{}]", finding(changed)));
    let deep = |count| format!("{}{}", "[".repeat(count), "]".repeat(count));
    for (text, message) in [
        ("{}".to_owned(), "report has none of the marks of a known format".to_owned()),
        (deep(60), "report has an unexpected value at line 1, column 2: invalid type: sequence, expected a result".to_owned()),
        ("[]".to_owned(), "report has none of the marks of a known format".to_owned()),
        ("[{\"a\": 1}]".to_owned(), "report has none of the marks of a known format".to_owned()),
        (
            "1".to_owned(),
            "report has an unexpected value at line 1, column 1: invalid type: integer `1`, expected a \
             report object"
                .to_owned(),
        ),
        (
            r#"[{"Target": "x"}, {"Vulnerabilities": null}]"#.to_owned(),
            "report lacks `Target` in [1]".to_owned(),
        ),
        (
            r#"{"SchemaVersion": 3, "Results": []}"#.to_owned(),
            "report has Trivy's schema version 3, only 2 and the array before it are supported".to_owned(),
        ),
        (
            r#"{"ArtifactName": "x", "Results": []}"#.to_owned(),
            "report lacks `SchemaVersion` in the report".to_owned(),
        ),
        (
            with_results("{}"),
            "report has an unexpected value at line 1, column 55: invalid type: map, expected an array of \
             results"
                .to_owned(),
        ),
        (
            with_wrong(r#", "Severity": 1"#),
            "report has an unexpected value at line 1, column 179: invalid type: integer `1`, expected a \
             string"
                .to_owned(),
        ),
    ] {
        assert_eq!(read(&text).unwrap_err().to_string(), message, "{text:.300}");
    }
}

#[test]
fn invalid_findings() {
    let with_wrong = |changed| with_findings(&format!("[{}]", finding(changed)));
    for (text, message) in [
        (
            with_results(r#"[{}, {"Vulnerabilities": [{}]}]"#),
            "report lacks `Class` in Results[1]".to_owned(),
        ),
        (
            with_findings(r#"[["CVE-1", "a"]]"#),
            "report has an unexpected value at line 1, column 96: invalid type: sequence, expected an \
             object"
                .to_owned(),
        ),
        (
            with_wrong(&format!(r#", "FixedVersion": "{}""#, "1,".repeat(17))),
            "report has an invalid finding CVE-1: more than 16 fixed versions".to_owned(),
        ),
        (
            with_findings(r#"[{"PkgName": "a"}]"#),
            "report lacks `VulnerabilityID` in Results[0].Vulnerabilities[0]".to_owned(),
        ),
        (
            with_findings(&format!(r#"[{}, {{"VulnerabilityID": "CVE-1"}}]"#, finding(""))),
            "report lacks `PkgName` in Results[0].Vulnerabilities[1]".to_owned(),
        ),
        (
            with_findings(r#"[{"VulnerabilityID": "CVE-1", "PkgName": "a"}]"#),
            "report lacks `InstalledVersion` in Results[0].Vulnerabilities[0]".to_owned(),
        ),
        (
            with_findings(r#"[{"VulnerabilityID": "$(reboot)"}]"#),
            "report has an invalid finding in Results[0].Vulnerabilities[0]: invalid vulnerability \
             identifier: `$(reboot)`"
                .to_owned(),
        ),
        (
            with_findings(r#"[{"VulnerabilityID": "CVE-1", "PkgName": "--root=/"}]"#),
            "report has an invalid finding CVE-1: package name does not begin with a letter or a digit: \
             `--root=/`"
                .to_owned(),
        ),
        (
            with_wrong(r#", "PkgIdentifier": {"PURL": "x?arch=a/b"}"#),
            "report has an invalid finding CVE-1: architecture has an invalid character '/': `a/b`".to_owned(),
        ),
        (
            with_wrong(&format!(r#", "FixedVersion": "{}""#, "1".repeat(1025))),
            format!(
                "report has an invalid finding CVE-1: version is longer than 1024 characters: `{}…`",
                "1".repeat(64)
            ),
        ),
    ] {
        assert_eq!(read(&text).unwrap_err().to_string(), message, "{text:.300}");
    }
}

#[test]
fn a_wrong_finding_is_wrong_wherever_the_class_stands() {
    let wrong = r#"{"VulnerabilityID": "CVE-1", "PkgName": "$(reboot)", "InstalledVersion": "1"}"#;
    for result in [
        format!(r#"{{"Class": "os-pkgs", "Vulnerabilities": [{wrong}]}}"#),
        format!(r#"{{"Vulnerabilities": [{wrong}], "Class": "os-pkgs"}}"#),
    ] {
        let error = read(&with_results(&format!("[{result}]"))).unwrap_err();
        assert!(matches!(error, ReportError::PackageName { .. }), "{error}");
    }
}

#[test]
fn not_text() {
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let late = [&b"{\"a\": \""[..], &b"x".repeat(200_000), b"\xe9\"}"].concat();
    for (bytes, offset, kind) in [
        (utf16.as_slice(), 0, BinaryKind::Utf16),
        (b"\x1f\x8b\x08\x00\x00", 1, BinaryKind::Gzip),
        (b"\x28\xb5\x2f\xfd\x00", 1, BinaryKind::Zstandard),
        (b"\x89PNG", 0, BinaryKind::Other),
        (b"\xff", 0, BinaryKind::Other),
        (&late, 200_007, BinaryKind::Other),
    ] {
        match parse(bytes, ReportFormat::Auto) {
            Err(ReportError::NotText { offset: found, kind: seen }) => {
                assert_eq!((found, seen), (offset, kind));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A reader that gives one byte at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = 1.min(buffer.len());
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn characters_split_between_reads() {
    let text = with_findings(&format!("[{}]", finding(r#", "Title": "é €😀""#)));
    assert_eq!(parse(Drip(text.as_bytes()), ReportFormat::Auto).unwrap(), read(&text).unwrap());
    for (bytes, offset) in
        [(&b"{\"\xe2\x82x\"}"[..], 2), (b"{\"\xf0\x9f\xff", 2), (b"\"\xe2\x82\xac\xff", 4)]
    {
        match parse(Drip(bytes), ReportFormat::Auto) {
            Err(ReportError::NotText { offset: found, .. }) => {
                assert_eq!(found, offset, "{bytes:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn other_formats() {
    for (text, format) in [
        (include_str!("../../tests/data/reports/grype-bookworm.json"), ReportFormat::Grype),
        (include_str!("../../tests/data/reports/trivy-bookworm.cdx.json"), ReportFormat::CycloneDx),
        (include_str!("../../tests/data/reports/grype-alpine.cdx.json"), ReportFormat::CycloneDx),
        (include_str!("../../tests/data/reports/trivy-bookworm.sarif"), ReportFormat::Sarif),
        (r#"{"apiVersion": "v1alpha1", "metadata": {}, "updates": []}"#, ReportFormat::Copa),
    ] {
        let message = format!("reports in the format `{format}` cannot be read yet, only `trivy`");
        assert_eq!(read(text).unwrap_err().to_string(), message);
        assert_eq!(parse(io::empty(), format).unwrap_err().to_string(), message);
        assert_eq!(
            parse(text.as_bytes(), ReportFormat::Trivy).unwrap_err().to_string(),
            format!("report is not in the format `trivy`, it looks like `{format}`")
        );
    }
}

#[test]
fn limits() {
    let large = io::repeat(b' ');
    assert!(matches!(parse(large, ReportFormat::Auto), Err(ReportError::TooLarge)));
    let text = b"\"".chain(io::repeat(b'x'));
    assert!(matches!(parse(text, ReportFormat::Auto), Err(ReportError::TooLarge)));
    let endless = io::repeat(b'[');
    assert!(matches!(parse(endless, ReportFormat::Auto), Err(ReportError::TooDeep)));
    let one = finding("");
    let many = format!("[{one}{}]", format!(",{one}").repeat(FINDING_LIMIT));
    assert!(matches!(read(&with_findings(&many)), Err(ReportError::TooManyFindings)));
}

#[test]
fn a_reader_that_fails() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    for reader in [Box::new(Broken) as Box<dyn Read>, Box::new(b"{\"SchemaVersion\"".chain(Broken))]
    {
        match parse(reader, ReportFormat::Auto) {
            Err(ReportError::Read(error)) => assert_eq!(error.to_string(), "gone"),
            other => panic!("{other:?}"),
        }
    }
}
