//! Writes every target's seeds into a folder for each below the one named, and prints the targets.

#[path = "../../tests/fuzz/seeds.rs"]
mod seeds;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let below = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    for target in p2p::fuzzing::TARGETS {
        let folder = below.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds::of(target.name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
