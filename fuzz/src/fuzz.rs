//! One of the targets of `p2p::fuzzing`, named by `P2P_FUZZ_TARGET`, under libFuzzer.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use p2p::fuzzing::{Target, target};

static CHOSEN: OnceLock<(Target, PathBuf)> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("P2P_FUZZ_TARGET").expect("P2P_FUZZ_TARGET names a target");
        let scratch = std::env::var_os("P2P_FUZZ_SCRATCH").expect("P2P_FUZZ_SCRATCH is a folder");
        let _ = CHOSEN.set((target(&name).expect("a target of that name"), scratch.into()));
        // A panic that the program itself catches is no find; libFuzzer would end at the first.
        std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    },
    |bytes: &[u8]| {
        let (target, scratch) = CHOSEN.get().expect("set at the start");
        (target.run)(bytes, scratch);
    }
);
