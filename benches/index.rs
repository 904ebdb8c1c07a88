//! How fast a folder is indexed, beside `b3sum` on the same cores, and how fast and small the start on
//! a folder that did not change is.
//!
//! `cargo bench --bench index`. Files are made below `P2P_BENCH_DIR`, else the temporary directory, and
//! removed. Runs alternate, so that both sides see the same machine; medians and their ratio are printed.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use p2p::peer::share::{Config, Share};

/// Runs of each side.
const RUNS: usize = 11;
/// Files of the folder that does not change.
const MANY_FILES: usize = 100_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--start") {
        return report_start(Path::new(&args[at + 1]));
    }
    let base = std::env::var_os("P2P_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(base).expect("a folder to work in");
    let gib = 1 << 30;
    // How a file was written decides how its pages lie in memory, and with that what mapping it costs.
    let cases = [
        ("1 GiB in 1 file, written in pieces of 128 KiB", 1, gib, 128 << 10),
        ("1 GiB in 1 file, written at once", 1, gib, gib),
        ("1 GiB in 1024 files", 1024, 1 << 20, 128 << 10),
    ];
    for (what, count, bytes, piece) in cases {
        let path = folder.path().join("files");
        make_files(&path, count, bytes, piece);
        first_index(what, &path);
        fs::remove_dir_all(&path).expect("it is ours");
    }
    let many = folder.path().join("many");
    make_files(&many, MANY_FILES, 100, 100);
    start_on_many(&many);
}

/// Files of different random bytes, a hundred in a folder.
fn make_files(folder: &Path, count: usize, bytes: usize, piece: usize) {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut data = vec![0; piece];
    rng.fill(&mut data);
    for n in 0..count {
        let inner = folder.join(format!("folder {}", n / 100));
        fs::create_dir_all(&inner).expect("room for folders");
        let mut file = fs::File::create(inner.join(format!("file {n}"))).expect("room for files");
        for _ in 0..bytes / piece {
            data[..8].copy_from_slice(&rng.u64(..).to_ne_bytes());
            file.write_all(&data).expect("room for files");
        }
    }
}

fn open(folder: &Path, state: &Path, watch: bool) -> std::sync::Arc<Share> {
    let config = Config {
        folder: folder.to_owned(),
        prefix: None,
        state: state.to_owned(),
        selection: Default::default(),
        watch,
        threads: 0,
    };
    Share::open(config, &mut |_| ControlFlow::Continue(())).expect("the folder can be shared")
}

fn first_index(what: &str, folder: &Path) {
    let files: Vec<_> = fs::read_dir(folder)
        .expect("it is ours")
        .flatten()
        .flat_map(|inner| fs::read_dir(inner.path()).expect("it is ours").flatten())
        .map(|file| file.path())
        .collect();
    let b3sum = || {
        let run = Command::new("b3sum").args(&files).stdout(Stdio::null()).status();
        assert!(run.is_ok_and(|status| status.success()), "b3sum is needed: cargo install b3sum");
    };
    let index = || {
        drop(open(folder, &folder.join(".p2p"), true));
        fs::remove_dir_all(folder.join(".p2p")).expect("it is ours");
    };
    let (b3sum, index) = alternate(b3sum, index);
    let ratio = b3sum.as_secs_f64() / index.as_secs_f64();
    println!("first index of {what}: {index:.1?}, b3sum {b3sum:.1?}, ratio {ratio:.2}");
}

fn alternate(mut a: impl FnMut(), mut b: impl FnMut()) -> (Duration, Duration) {
    let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (run, times) in [&mut a as &mut dyn FnMut(), &mut b].into_iter().zip(&mut times) {
            let start = Instant::now();
            run();
            times.push(start.elapsed());
        }
    }
    let [a, b] = times.map(|mut times| {
        times.sort_unstable();
        times[RUNS / 2]
    });
    (a, b)
}

/// The start is measured in a process of its own, whose memory holds nothing else.
fn start_on_many(folder: &Path) {
    let first = run_start(folder);
    println!("first index of {MANY_FILES} files: {first}");
    let mut starts: Vec<String> = (0..RUNS).map(|_| run_start(folder)).collect();
    starts.sort_unstable();
    println!("start on {MANY_FILES} unchanged files (median): {}", starts[RUNS / 2]);
}

fn run_start(folder: &Path) -> String {
    let this = std::env::current_exe().expect("the system knows");
    let output = Command::new(this).arg("--start").arg(folder).output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn report_start(folder: &Path) {
    let start = Instant::now();
    let share = open(folder, &folder.join(".p2p"), true);
    let took = start.elapsed().as_millis();
    let files = share.summary().files;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field =
        |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    println!("{took:5} ms, {files} files, {}, {}", field("VmHWM"), field("VmRSS").replace('\t', " "));
}
