//! What a build did when, read from `docker buildx build --progress=rawjson`.

use std::collections::BTreeMap;

use serde_json::Value;

/// Seconds in a day.
const DAY: f64 = 86_400.0;

/// One step of a build.
#[derive(Clone, Debug, Default, PartialEq)]
struct Vertex {
    name: String,
    /// When it started; more than once when several requests wanted it.
    starts: Vec<f64>,
    /// When it was done, as often.
    ends: Vec<f64>,
}

/// The steps of a build, in seconds since the client was started.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress {
    vertices: Vec<Vertex>,
}

/// A part of a build's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stage {
    /// What it is.
    pub(super) name: &'static str,
    /// How long it took.
    pub(super) seconds: f64,
}

/// Everything that [`Progress::stages`] can name, in order.
pub(super) const STAGES: [&str; 11] = [
    "client starts",
    "build definition",
    "load the frontend",
    "frontend starts, to its first call",
    "look into image and reports",
    "fetch",
    "plan again",
    "apply, or RUN",
    "verify",
    "export",
    "client ends",
];

impl Progress {
    /// Reads the output of a client that was started at this time of day.
    pub(super) fn parse(output: &str, began: f64) -> Self {
        let mut vertices: BTreeMap<String, Vertex> = BTreeMap::new();
        for status in values(output) {
            let updates = status.get("vertexes").and_then(Value::as_array);
            for update in updates.into_iter().flatten() {
                let text = |field: &str| update.get(field).and_then(Value::as_str);
                let vertex = vertices.entry(text("digest").unwrap_or_default().into()).or_default();
                text("name").unwrap_or_default().clone_into(&mut vertex.name);
                // A build takes less than a day, but may begin before midnight.
                let moment = |field| Some((time_of_day(text(field)?)? - began).rem_euclid(DAY));
                note(&mut vertex.starts, moment("started"));
                note(&mut vertex.ends, moment("completed"));
            }
        }
        Self { vertices: vertices.into_values().collect() }
    }

    /// Where the time went: the wall time, cut where one stage ends and the next begins. A stage that
    /// a build does not have is left out.
    pub(super) fn stages(&self, wall: f64) -> Vec<Stage> {
        let fetch = |name: &str| name.starts_with("fetch ");
        let work = |name: &str| name.starts_with("apply ") || name.contains("] RUN ");
        let export = |name: &str| name.starts_with("exporting ");
        let frontend = |name: &str| name.starts_with("docker-image://");
        let loaded = self.end(frontend);
        let next = self.start(fetch).or(self.start(work)).or(self.start(export));
        let ends = [
            self.start(|_| true),
            self.first_end(|name| name.starts_with("[internal] load build definition")),
            loaded,
            loaded.and_then(|loaded| self.start_after(loaded)),
            next,
            self.end(fetch),
            self.start(fetch).and(self.start(work)),
            self.end(work),
            self.start(export),
            self.end(export),
            Some(wall),
        ];
        let mut stages = Vec::new();
        let mut before = 0.0;
        for (name, end) in STAGES.into_iter().zip(ends) {
            let Some(end) = end else { continue };
            stages.push(Stage { name, seconds: f64::max(end - before, 0.0) });
            before = f64::max(end, before);
        }
        stages
    }

    fn named<'a>(&'a self, is: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'a Vertex> {
        self.vertices.iter().filter(move |vertex| is(&vertex.name))
    }

    fn start(&self, is: impl Fn(&str) -> bool) -> Option<f64> {
        self.named(is).flat_map(|vertex| vertex.starts.iter().copied()).reduce(f64::min)
    }

    fn end(&self, is: impl Fn(&str) -> bool) -> Option<f64> {
        self.named(is).flat_map(|vertex| vertex.ends.iter().copied()).reduce(f64::max)
    }

    fn first_end(&self, is: impl Fn(&str) -> bool) -> Option<f64> {
        self.named(is).flat_map(|vertex| vertex.ends.iter().copied()).reduce(f64::min)
    }

    fn start_after(&self, moment: f64) -> Option<f64> {
        let starts = self.vertices.iter().flat_map(|vertex| vertex.starts.iter().copied());
        starts.filter(|start| *start > moment).reduce(f64::min)
    }
}

/// The JSON objects in a text, on a line each or on several: buildx 0.13 writes them for people.
fn values(text: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        rest = rest.get(start..).unwrap_or_default();
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter();
        let end = match stream.next() {
            Some(Ok(value)) => {
                values.push(value);
                stream.byte_offset()
            }
            _ => 1,
        };
        rest = rest.get(end..).unwrap_or_default();
    }
    values
}

/// Notes a moment unless it has been told before.
fn note(moments: &mut Vec<f64>, moment: Option<f64>) {
    if let Some(moment) = moment.filter(|moment| !moments.contains(moment)) {
        moments.push(moment);
    }
}

/// The time of day in `2026-11-21T11:14:41.392730212Z`, in seconds.
fn time_of_day(text: &str) -> Option<f64> {
    let (_, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut seconds = 0.0;
    for part in time.split(':') {
        seconds = seconds * 60.0 + part.parse::<f64>().ok()?;
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_of_day_is_read() {
        assert_eq!(time_of_day("2026-11-21T01:01:01.5Z"), Some(3661.5));
        assert_eq!(time_of_day("2026-11-21"), None);
    }

    #[test]
    fn values_may_have_several_lines() {
        let text = "{\"a\": 1}\nwarning: {nothing}\n{\n  \"b\": {\n    \"c\": 2\n  }\n}\n{";
        assert_eq!(values(text), [json!({"a": 1}), json!({"b": {"c": 2}})]);
    }

    #[test]
    fn the_wall_time_is_cut_into_stages() {
        let line = |name: &str, started: u32, completed: u32| {
            format!(
                "{{\"vertexes\":[{{\"digest\":\"{name}\",\"name\":\"{name}\",\
                 \"started\":\"2026-11-21T00:00:{started:02}Z\",\
                 \"completed\":\"2026-11-21T00:00:{completed:02}Z\"}}]}}\n"
            )
        };
        let output = [
            line("[internal] load build definition from Dockerfile", 1, 2),
            line("docker-image://suture", 2, 4),
            line("[internal] load build definition from Dockerfile", 7, 8),
            line("fetch all upgrades with apt", 10, 15),
            line("exporting to image", 20, 22),
        ]
        .concat();
        // The client was started two seconds before midnight.
        let progress = Progress::parse(&output, DAY - 2.0);
        let stages: Vec<_> =
            progress.stages(25.0).iter().map(|stage| (stage.name, stage.seconds)).collect();
        assert_eq!(
            stages,
            [
                ("client starts", 3.0),
                ("build definition", 1.0),
                ("load the frontend", 2.0),
                ("frontend starts, to its first call", 3.0),
                ("look into image and reports", 3.0),
                ("fetch", 5.0),
                ("verify", 5.0),
                ("export", 2.0),
                ("client ends", 1.0),
            ]
        );
    }
}
