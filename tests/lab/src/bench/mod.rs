//! `cargo lab bench`: what suture takes, beside the Dockerfile that people write without it.
//!
//! All builds run on the same engine, one after the other and in turns, so that a machine with other
//! work slows all of them. The figures are medians; a test never asserts one.

mod contest;
mod distribution;
mod gauge;
mod progress;
mod reading;
mod rest;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Write, stdout};

use anyhow::{Context, Result, bail, ensure};

use crate::folder::LabFolder;
use contest::{Cache, Contest, IMAGE, Measured, PLATFORMS, Way};
use distribution::Distribution;
use progress::STAGES;
use reading::{Input, Reader};

/// How often everything is done unless somebody asks for another number.
const RUNS: usize = 5;

/// The part of the Dockerfile's layer that suture's may have, where that one has the package manager's
/// caches.
const LAYER: f64 = 0.12;

/// How many seconds more than the Dockerfile suture may take where little is downloaded.
const MORE: f64 = 0.5;

/// A part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    /// A patch after a report.
    Report,
    /// A patch of everything.
    Everything,
    /// The same once more.
    Again,
    /// An image that needs nothing.
    Nothing,
    /// Another distribution, with the lab's own updates.
    Other(Distribution),
    /// Two platforms against the slower one alone.
    Platforms,
    /// Any Dockerfile with nothing to patch, against the same without our line.
    Dockerfile,
    /// The frontend's own image.
    Image,
    /// Large inputs.
    Reading,
}

/// The rows as people name them.
const ROWS: [(&str, Row); 11] = [
    ("report", Row::Report),
    ("everything", Row::Everything),
    ("again", Row::Again),
    ("nothing", Row::Nothing),
    ("alpine", Row::Other(Distribution::Alpine)),
    ("almalinux", Row::Other(Distribution::Almalinux)),
    ("almalinux-tiny", Row::Other(Distribution::AlmalinuxTiny)),
    ("platforms", Row::Platforms),
    ("dockerfile", Row::Dockerfile),
    ("image", Row::Image),
    ("reading", Row::Reading),
];

/// What the person who runs it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice {
    rows: BTreeSet<Row>,
    runs: usize,
    image: String,
}

impl Choice {
    /// Reads the arguments: `[--runs N] [--image NAME] [ROW...]`.
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut choice = Self { rows: BTreeSet::new(), runs: RUNS, image: IMAGE.to_owned() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if *argument == "--runs" {
                let number = arguments.next().context("--runs lacks a number")?;
                choice.runs = number.parse().context("--runs is not a number")?;
                ensure!(choice.runs > 0, "--runs is nothing at all");
            } else if *argument == "--image" {
                let name = arguments.next().context("--image lacks a name")?;
                (*name).clone_into(&mut choice.image);
            } else if let Some((_, row)) = ROWS.iter().find(|(name, _)| name == argument) {
                choice.rows.insert(*row);
            } else {
                let known = ROWS.map(|(name, _)| name).join(", ");
                bail!("unknown row: {argument}: there are {known}");
            }
        }
        if choice.rows.is_empty() {
            choice.rows = ROWS.map(|(_, row)| row).into();
        }
        Ok(choice)
    }

    fn has(&self, row: Row) -> bool {
        self.rows.contains(&row)
    }

    /// The ways to build that the rows compare. `again` is about both of suture's.
    fn ways(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        if self.has(Row::Report) || self.has(Row::Everything) {
            ways.push(Way::Dockerfile);
        }
        if self.has(Row::Report) || self.has(Row::Again) {
            ways.push(Way::Report);
        }
        if self.has(Row::Everything) || self.has(Row::Again) {
            ways.push(Way::Everything);
        }
        for other in self.others() {
            ways.extend([Way::Plain(other), Way::Patched(other)]);
        }
        if self.has(Row::Platforms) {
            ways.extend(PLATFORMS.map(Way::Platform));
            ways.push(Way::Platforms);
        }
        if self.has(Row::Dockerfile) {
            ways.extend([Way::Build, Way::BuildPatched]);
        }
        ways
    }

    /// The other distributions that rows are about.
    fn others(&self) -> impl Iterator<Item = Distribution> {
        self.rows.iter().filter_map(|row| match row {
            Row::Other(other) => Some(*other),
            _ => None,
        })
    }
}

/// Measures and prints the tables. `version` names one of the lab's engines.
pub fn run(folder: &LabFolder, version: Option<&str>, arguments: &[&str]) -> Result<()> {
    let choice = Choice::parse(arguments)?;
    let mut tables = Tables::default();
    let before = load()?;
    if choice.rows.iter().any(|row| *row != Row::Reading) {
        builds(&Contest::prepare(folder, version, &choice.image)?, &choice, &mut tables)?;
    }
    if choice.has(Row::Reading) {
        readings(&Reader::prepare(folder)?, choice.runs, &mut tables)?;
    }
    let mut output = stdout().lock();
    writeln!(output, "{}", tables.figures())?;
    if !tables.stages.is_empty() {
        writeln!(output, "{}", tables.stages())?;
    }
    writeln!(
        output,
        "medians of {}; load of the machine {before} before, {} after",
        choice.runs,
        load()?
    )?;
    Ok(())
}

/// Everything that needs the engine.
fn builds(contest: &Contest, choice: &Choice, tables: &mut Tables) -> Result<()> {
    let of_debian = [Row::Report, Row::Everything, Row::Again, Row::Nothing];
    if of_debian.into_iter().any(|row| choice.has(row)) {
        contest.write_build_files()?;
    }
    if choice.has(Row::Platforms) {
        contest.prepare_platforms()?;
    }
    if choice.has(Row::Dockerfile) {
        contest.prepare_dockerfiles()?;
    }
    for other in choice.others() {
        contest.write_build_files_of(other)?;
    }
    let mut cold: BTreeMap<Way, Vec<Measured>> = BTreeMap::new();
    let mut again: BTreeMap<Way, Vec<Measured>> = BTreeMap::new();
    for run in 1..=choice.runs {
        // In turns: what a build leaves for the kernel to tidy up falls to the next one.
        let mut ways = choice.ways();
        if !ways.is_empty() {
            let turn = run % ways.len();
            ways.rotate_left(turn);
        }
        for way in ways {
            eprintln!("run {run} of {}: {way:?}", choice.runs);
            cold.entry(way).or_default().push(contest.build(way, Cache::Cold)?);
            let of_debian = matches!(way, Way::Report | Way::Everything);
            if choice.has(Row::Again) && of_debian || way == Way::BuildPatched {
                again.entry(way).or_default().push(contest.build(way, Cache::Warm)?);
            }
        }
    }
    let mut unchanged: BTreeMap<Way, Vec<Measured>> = BTreeMap::new();
    if choice.has(Row::Nothing) {
        contest.prepare_unchanged()?;
        for run in 1..=choice.runs {
            for way in [Way::Report, Way::Everything] {
                eprintln!("run {run} of {}: nothing to do, {way:?}", choice.runs);
                unchanged.entry(way).or_default().push(contest.build_unchanged(way)?);
            }
        }
    }
    for (row, way, target) in
        [(Row::Report, Way::Report, 0.50), (Row::Everything, Way::Everything, 0.65)]
    {
        if choice.has(row) {
            let targets = Targets { time: Time::Ratio(target), layer: LAYER };
            tables.compare(contest, (way, Way::Dockerfile), &targets, &cold)?;
        }
    }
    for other in choice.others() {
        let targets = Targets { time: Time::More(MORE), layer: other.terms().layer };
        tables.compare(contest, (Way::Patched(other), Way::Plain(other)), &targets, &cold)?;
    }
    if choice.has(Row::Platforms) {
        let wall = |way: Way| -> Result<f64> {
            Ok(median_build(cold.get(&way).context("a build was not measured")?)?.wall)
        };
        let [first, second] = PLATFORMS.map(Way::Platform).map(wall);
        let both = (wall(Way::Platforms)?, first?.max(second?));
        tables.ratio("two platforms against the slower one", both, Some(1.3), seconds);
    }
    if choice.has(Row::Dockerfile) {
        let build = |way: Way| median_build(cold.get(&way).context("a build was not measured")?);
        let (ours, theirs) = (build(Way::BuildPatched)?, build(Way::Build)?);
        tables.difference("a Dockerfile with nothing to patch", (ours.wall, theirs.wall), MORE);
        let repeated = median_build(again.get(&Way::BuildPatched).context("it was not repeated")?)?;
        let what = "a Dockerfile with our line, again: containers, with the frontend's own";
        tables.absolute(what, number(u64::try_from(repeated.containers)?), Some(1.0), whole);
    }
    for (what, measured) in [("again", &again), ("nothing to do", &unchanged)] {
        for (way, measured) in measured {
            // An image nobody has a report on has to be asked for what it lacks.
            let target = (what == "again" || *way == Way::Report).then_some(1.0);
            let wall = median_build(measured)?.wall;
            tables.absolute(&format!("{}, {what}", way.name()), wall, target, seconds);
        }
    }
    for (what, measured) in [("", &cold), (", again", &again), (", nothing to do", &unchanged)] {
        for (way, measured) in measured {
            tables.time(&format!("{}{what}", way.name()), median_build(measured)?);
        }
    }
    if choice.has(Row::Image) {
        let size = contest.frontend()?.layers.iter().map(|layer| layer.size).sum::<u64>();
        tables.absolute("frontend image", number(size), Some(3.2e6), megabytes);
    }
    contest.clean()
}

/// Everything about large inputs.
fn readings(reader: &Reader, runs: usize, tables: &mut Tables) -> Result<()> {
    let (mut reports, mut statuses, mut databases) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=runs {
        eprintln!("run {run} of {runs}: reading");
        reports.push(reader.read(Input::Report)?);
        statuses.push(reader.read(Input::Status)?);
        databases.push(reader.read(Input::RpmDatabase)?);
    }
    let report = median(&reports, |reading| reading.seconds)?;
    let what = format!("100 MB report, {} findings", report.count);
    tables.absolute(&format!("{what}: time"), report.seconds, Some(1.5), seconds);
    tables.absolute(&format!("{what}: memory"), number(report.memory), Some(100e6), megabytes);
    let status = median(&statuses, |reading| reading.seconds)?;
    let what = format!("dpkg's database, {} packages", status.count);
    tables.absolute(&what, status.seconds, None, seconds);
    let database = median(&databases, |reading| reading.seconds)?;
    let size = megabytes(number(reader.size(Input::RpmDatabase)?));
    let what = format!("rpm's database, {} packages, {size}", database.count);
    tables.absolute(&what, database.seconds, Some(0.05), seconds);
    Ok(())
}

/// What suture should reach beside a Dockerfile.
#[derive(Clone, Copy, Debug)]
struct Targets {
    time: Time,
    /// The part of the other layer's bytes.
    layer: f64,
}

/// How two times are compared.
#[derive(Clone, Copy, Debug)]
enum Time {
    /// Ours may be this part of the other one.
    Ratio(f64),
    /// Ours may be this many seconds more.
    More(f64),
}

/// The lines of both tables, as they come.
#[derive(Debug, Default)]
struct Tables {
    figures: Vec<Vec<String>>,
    stages: Vec<(String, BTreeMap<&'static str, f64>)>,
}

impl Tables {
    /// Adds the lines that compare a way of suture's with that of a Dockerfile.
    fn compare(
        &mut self,
        contest: &Contest,
        (way, plain): (Way, Way),
        targets: &Targets,
        measured: &BTreeMap<Way, Vec<Measured>>,
    ) -> Result<()> {
        let of = |way: Way| measured.get(&way).context("a build was not measured");
        let fastest = |way| {
            let walls = of(way)?.iter().map(|measured| measured.wall);
            walls.reduce(f64::min).context("nothing was measured")
        };
        let (our_best, their_best) = (fastest(way)?, fastest(plain)?);
        let (ours, theirs) = (median_build(of(way)?)?, median_build(of(plain)?)?);
        let (our_image, their_image) = (contest.result(way)?, contest.result(plain)?);
        let layer = |image: &crate::stored_image::StoredImage| -> Result<(f64, f64)> {
            let size = image.layers.last().map_or(0, |layer| layer.size);
            let entries = u64::try_from(image.last_layer()?.len())?;
            Ok((number(size), number(entries)))
        };
        let (our_layer, our_entries) = layer(&our_image)?;
        let (their_layer, their_entries) = layer(&their_image)?;
        let name = way.name();
        let time = format!("{name}: time");
        match targets.time {
            Time::Ratio(target) => {
                self.ratio(&time, (ours.wall, theirs.wall), Some(target), seconds);
            }
            Time::More(target) => {
                self.difference(&time, (ours.wall, theirs.wall), target);
            }
        }
        let mut add = |what: &str, ours, theirs, target, unit| {
            self.ratio(&format!("{name}: {what}"), (ours, theirs), target, unit);
        };
        // What other work on the machine has disturbed least.
        add("time of the fastest run", our_best, their_best, None, seconds);
        add("layer", our_layer, their_layer, Some(targets.layer), megabytes);
        add("paths in the layer", our_entries, their_entries, None, whole);
        // The lab's own repositories are nothing that comes from outside.
        if let Time::Ratio(_) = targets.time {
            add("downloaded", number(ours.downloaded), number(theirs.downloaded), None, megabytes);
        }
        let containers = |measured: &Measured| measured.containers.to_string();
        let line = format!("{name}: containers, with the frontend's own");
        let none = String::new();
        let (ours, theirs) = (containers(ours), containers(theirs));
        self.figures.push(vec![line, none.clone(), none.clone(), none, ours, theirs]);
        Ok(())
    }

    /// Adds the line of times whose difference counts.
    fn difference(&mut self, what: &str, (ours, theirs): (f64, f64), target: f64) {
        let more = |value: f64| format!("{value:+.2} s");
        let mut line = vec![what.to_owned(), more(ours - theirs)];
        line.extend(judgement(ours - theirs, Some(target), more));
        line.extend([seconds(ours), seconds(theirs)]);
        self.figures.push(line);
    }

    /// Adds the line of a figure that the Dockerfile has, too: suture's, then the Dockerfile's.
    fn ratio(
        &mut self,
        what: &str,
        (ours, theirs): (f64, f64),
        target: Option<f64>,
        unit: fn(f64) -> String,
    ) {
        let ratio = ours / theirs;
        let mut line = vec![what.to_owned(), format!("{ratio:.2}")];
        line.extend(judgement(ratio, target, |target| format!("{target:.2}")));
        line.extend([unit(ours), unit(theirs)]);
        self.figures.push(line);
    }

    /// Adds the line of a figure that stands alone.
    fn absolute(&mut self, what: &str, value: f64, target: Option<f64>, unit: fn(f64) -> String) {
        let mut line = vec![what.to_owned(), String::new()];
        line.extend(judgement(value, target, unit));
        line.push(unit(value));
        self.figures.push(line);
    }

    /// Adds a column that tells where the time of a build went.
    fn time(&mut self, what: &str, measured: &Measured) {
        let stages = measured.progress.stages(measured.wall);
        let seconds = stages.into_iter().map(|stage| (stage.name, stage.seconds)).collect();
        self.stages.push((what.to_owned(), seconds));
    }

    /// The table of figures.
    fn figures(&self) -> String {
        let head = ["", "RATIO, MORE", "TARGET", "MET", "SUTURE", "DOCKERFILE"].map(str::to_owned);
        table::render(&[&[head.to_vec()], &self.figures[..]].concat())
    }

    /// The table of where the time went.
    fn stages(&self) -> String {
        let heads = self.stages.iter().map(|(name, _)| name.clone());
        let mut rows = vec![["SECONDS".to_owned()].into_iter().chain(heads).collect()];
        for name in STAGES {
            let cells = self.stages.iter().map(|(_, stages)| {
                stages.get(name).map_or_else(String::new, |seconds| format!("{seconds:.2}"))
            });
            rows.push([name.to_owned()].into_iter().chain(cells).collect());
        }
        table::render(&rows)
    }
}

/// Target and verdict as cells.
fn judgement(value: f64, target: Option<f64>, unit: impl Fn(f64) -> String) -> [String; 2] {
    target.map_or_else(Default::default, |target| {
        let verdict = if value <= target { "yes" } else { "NO" };
        [format!("≤ {}", unit(target)), verdict.to_owned()]
    })
}

fn seconds(value: f64) -> String {
    if value < 0.1 { format!("{:.1} ms", value * 1e3) } else { format!("{value:.2} s") }
}

fn megabytes(value: f64) -> String {
    format!("{:.2} MB", value / 1e6)
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

#[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^53")]
fn number(value: u64) -> f64 {
    value as f64
}

/// The build with the middle time.
fn median_build(measured: &[Measured]) -> Result<&Measured> {
    median(measured, |measured| measured.wall)
}

/// The measurement in the middle; of two in the middle the better one.
fn median<T>(measured: &[T], by: impl Fn(&T) -> f64) -> Result<&T> {
    let mut sorted: Vec<&T> = measured.iter().collect();
    sorted.sort_by(|one, other| by(one).total_cmp(&by(other)));
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().context("nothing was measured")
}

/// How busy the machine is: the programs that want to run, over the last minute.
fn load() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_choose_rows_and_runs() {
        let all = Choice::parse(&[]).unwrap();
        assert_eq!((all.rows.len(), all.runs), (ROWS.len(), RUNS));
        let some = Choice::parse(&["report", "--runs", "3", "nothing"]).unwrap();
        assert_eq!(some.rows, BTreeSet::from([Row::Report, Row::Nothing]));
        assert_eq!(some.ways(), [Way::Dockerfile, Way::Report]);
        let alpine = Choice::parse(&["alpine"]).unwrap();
        let ways = [Way::Plain(Distribution::Alpine), Way::Patched(Distribution::Alpine)];
        assert_eq!(alpine.ways(), ways);
        assert!(Choice::parse(&["--runs", "0"]).is_err());
        assert!(Choice::parse(&["reports"]).is_err());
    }

    #[test]
    fn the_median_is_one_of_the_measurements() {
        assert_eq!(median(&[3, 1, 2], |value| f64::from(*value)).unwrap(), &2);
        assert_eq!(median(&[4, 1], |value| f64::from(*value)).unwrap(), &1);
        assert!(median(&[], |value: &f64| *value).is_err());
    }
}
