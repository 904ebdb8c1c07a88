//! A run, from its seed to its end.

use super::faults::Faults;
use super::mutants::Mutant;
use super::season::BREAKS;
use super::world::{Done, World};

/// Runs one seed.
///
/// # Errors
/// What is wrong: somebody disagrees, something acknowledged is missing, a read was stale, or not everybody came to the same.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Result<Done, String> {
    let mut world = World::new(seed, mutant)?;
    let mut faults = Faults::default();
    while world.now < BREAKS {
        faults.break_something(&mut world)?;
        world.millisecond(true)?;
    }
    world.heal()?;
    world.agree()?;
    if seed.is_multiple_of(3) {
        world.late_comer()?;
    }
    world.done.slots = world.judge.records.applied();
    world.done.epochs = world.judge.latest().map_or(0, |(head, _)| head.epoch.into());
    Ok(world.done)
}
