//! `cargo bench --bench transfer`: one peer to one peer over the loopback, against what people use today.
//!
//! Every row of the table moves one thing from one folder to another on the same medium, page cache
//! warm, contenders taking turns in an order that changes from round to round. A time is that of the
//! whole client command, from its start to its end; servers run before. Ratios come from one run of
//! this program, never from figures measured on different days.

#[path = "../support/mod.rs"]
mod support;

mod contender;
mod programs;
mod raw;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use contender::{CLOSED, Contender, Item, Kind, OURS};
use programs::{Curl, P2p, Rsync};
use raw::{BareCopy, TarPipe};
use report::{Fetched, Results, Row};
use support::machine::Machine;
use support::{files, interrupt, machine, process};

/// Measures fetching files and folders against rsync, nginx with curl, a bare copy and tar.
#[derive(Parser)]
struct Arguments {
    /// Rounds; every contender fetches once in each.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only rows whose label contains this, for example `1 GiB` or `disk`.
    #[arg(long)]
    only: Option<String>,
    /// Sizes of the single files.
    #[arg(long, value_delimiter = ',', default_values = ["1GiB", "4GiB"], value_parser = support::stats::parse_bytes)]
    sizes: Vec<u64>,
    /// Files in the folder; each is 10 KiB.
    #[arg(long, default_value_t = 10_000)]
    files: u64,
    /// Folder on a real disk [default: below the build].
    #[arg(long)]
    disk: Option<PathBuf>,
    /// Folder on a tmpfs.
    #[arg(long, default_value = "/dev/shm")]
    memory: PathBuf,
    /// Update docs/BENCHMARKS.md and its plot.
    #[arg(long)]
    write: bool,
    /// Passed by `cargo bench`; `cargo test --all-targets`, which starts this program too, does not.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Bytes in each file of the folder row.
const SMALL: u64 = 10 << 10;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench {
        eprintln!("transfer: nothing measured: start it as `cargo bench --bench transfer`");
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("transfer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    interrupt::install()?;
    let machine = Machine::read();
    let mut rows = Vec::new();
    for (medium, item) in plan(arguments) {
        if arguments.only.as_ref().is_some_and(|only| !item.label(&medium).contains(only)) {
            continue;
        }
        let row = measure(&medium, &item, arguments.runs)?;
        eprintln!("{}", row.line());
        rows.push(row);
    }
    let results = Results { machine, rows };
    println!("{}", results.markdown());
    println!("saved {}", support::document::save("transfer", &results)?.display());
    interrupt::check()?;
    if arguments.write {
        results.write()?;
    }
    Ok(())
}

/// A folder, and what its file system is called in the table.
struct Medium {
    label: String,
    folder: PathBuf,
}

fn plan(arguments: &Arguments) -> Vec<(Medium, Item)> {
    let disk = arguments.disk.clone().unwrap_or_else(files::disk);
    let mut plan = Vec::new();
    let mut items: Vec<Item> = arguments.sizes.iter().map(|size| Item::file(*size)).collect();
    items.push(Item::folder(arguments.files, SMALL));
    for item in items {
        for folder in [&disk, &arguments.memory] {
            let kind = machine::file_system(folder);
            let label = if kind == "tmpfs" { kind } else { format!("disk ({kind})") };
            plan.push((Medium { label, folder: folder.clone() }, item.clone()));
        }
    }
    plan
}

fn measure(medium: &Medium, item: &Item, runs: usize) -> Result<Row> {
    let scratch = files::scratch(&medium.folder)?;
    let (source, destination) = (scratch.path().join("source"), scratch.path().join("destination"));
    let mut row = Row::new(item.label(medium), item.bytes());
    if files::free_bytes(&medium.folder) < item.bytes() * 5 / 2 {
        row.missing.push(format!("needs {} of free space", support::stats::bytes(item.bytes() * 5 / 2)));
        return Ok(row);
    }
    item.make(&source)?;
    let (mut present, missing) = contenders(item, &source, scratch.path());
    row.missing.extend(missing);
    if let Some(ours) = present.iter_mut().find(|contender| contender.name() == contender::OURS) {
        files::settle(&destination)?;
        row.memory = ours.memory(item, &destination).unwrap_or_default();
    }
    for round in 0..runs {
        let turn = usize::from(!present.is_empty());
        present.rotate_left(turn);
        present.retain_mut(|contender| {
            let fetched = once(contender.as_mut(), item, &source, &destination, round == 0);
            row.take(contender.name(), fetched)
        });
        interrupt::check()?;
    }
    Ok(row)
}

/// One fetch into an empty destination; the first of each contender is compared with the original.
fn once(
    contender: &mut dyn Contender,
    item: &Item,
    source: &Path,
    destination: &Path,
    compare: bool,
) -> Result<Fetched> {
    let settled = files::settle(destination)?;
    let spent = |contender: &dyn Contender| Some(contender.served_cpu()? + process::cpu_of_ended());
    let before = spent(contender);
    let seconds = contender.fetch(item, destination)?;
    let cpu = spent(contender).zip(before).map(|(after, before)| after - before);
    if compare {
        files::same(&source.join(item.name()), &destination.join(item.name()))?;
    }
    Ok(Fetched { seconds, cpu, settled })
}

/// Everybody who can move `item`, ready to do so, and why the others cannot.
fn contenders(item: &Item, source: &Path, scratch: &Path) -> (Vec<Box<dyn Contender>>, Vec<String>) {
    let mut present: Vec<Box<dyn Contender>> = Vec::new();
    let mut missing = Vec::new();
    let mut add = |name: &str, made: Result<Box<dyn Contender>>| match made {
        Ok(contender) => present.push(contender),
        Err(error) => missing.push(format!("{name}: {error:#}")),
    };
    add(OURS, P2p::start(source, scratch).map(|made| Box::new(made) as _));
    add(CLOSED, P2p::start_closed(source, scratch).map(|made| Box::new(made) as _));
    add("rsync", Rsync::start(source, scratch).map(|made| Box::new(made) as _));
    if item.is_folder() {
        add("tar", TarPipe::new(source).map(|made| Box::new(made) as _));
    } else {
        add("curl + b3sum", Curl::start(source, scratch).map(|made| Box::new(made) as _));
        add("bare copy", Ok(Box::new(BareCopy::new(source))));
    }
    (present, missing)
}

impl Item {
    fn label(&self, medium: &Medium) -> String {
        match self.kind {
            Kind::File(size) => format!("{} file, {}", support::stats::bytes(size), medium.label),
            Kind::Folder { count, size } => {
                format!("{count} files of {}, {}", support::stats::bytes(size), medium.label)
            }
        }
    }
}
