//! Disks that are full or read-only, in a mount namespace of their own, which ends with its process; without root
//! these tests say so and pass.
//!
//! What happens there is done by this test once more.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use p2p::peer::lend::vault::{Vault, VaultError};

use super::mounts::private_mounts;
use super::world::{Model, Op, World};

const QUOTA: u64 = 64 << 20;
/// Where the disk is: by this the test knows that it is the process on it.
const WHERE: &str = "P2P_TEST_DISK";

/// Runs this test again as part of a script, in which it is `$TEST` and the disk goes to `$D`.
fn again(test: &str, script: &str) {
    if !private_mounts() {
        return;
    }
    let place = tempfile::tempdir().expect("a temporary folder");
    let program = std::env::current_exe().expect("this test");
    let output = Command::new("unshare")
        .args(["--mount", "timeout", "60", "sh", "-c", script])
        .env("TEST", format!("{} {test} --exact --nocapture", program.display()))
        .env("D", place.path())
        .env(WHERE, place.path())
        .output()
        .expect("a shell");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn a_full_disk_is_said_to_be_and_loses_nothing() {
    let script = "mount -t tmpfs -o size=3m none $D && $TEST";
    match std::env::var_os(WHERE) {
        Some(disk) => fill(Path::new(&disk)),
        None => again("disk::a_full_disk_is_said_to_be_and_loses_nothing", script),
    }
}

/// Works on a disk that has less than is lent.
fn fill(disk: &Path) {
    let path = disk.join("vault");
    let (world, mut rng) = (World::new(), fastrand::Rng::with_seed(1));
    let vault = Vault::open(&path, QUOTA).expect("a vault");
    let (mut model, mut full) = (Model::new(), 0);
    for _ in 0..200 {
        let op = world.op(&model, &mut rng);
        let after = world.after(&model, &op);
        match world.apply(&vault, &op) {
            Ok(()) => model = after,
            Err(error @ VaultError::Full(_)) => {
                assert_eq!(error.to_string(), format!("the disk is full: {}", path.display()));
                full += 1;
                // What had been written by then may go into the log, or has to be brought once more.
                let _ = vault.commit();
                let kept = world.kept(&vault);
                world.expect_between(&kept, &model, &after);
                model = kept;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(full > 5, "it was full {full} times");
    drop(vault);
    assert_eq!(world.kept(&Vault::open(&path, QUOTA).expect("the vault again")), model);
}

#[test]
fn on_a_disk_that_others_filled_a_store_can_delete() {
    let script = "truncate -s 12M $D/image && mkfs.ext4 -q -m 0 $D/image && mkdir $D/disk \
        && mount -o loop $D/image $D/disk && $TEST || exit 1; umount $D/disk";
    match std::env::var_os(WHERE) {
        Some(place) => delete_all(&Path::new(&place).join("disk")),
        None => again("disk::on_a_disk_that_others_filled_a_store_can_delete", script),
    }
}

fn delete_all(disk: &Path) {
    let path = disk.join("vault");
    let (world, mut rng) = (World::new(), fastrand::Rng::with_seed(1));
    let vault = Vault::open(&path, QUOTA).expect("a vault");
    let mut model = Model::new();
    for _ in 0..10 {
        let op = world.op(&model, &mut rng);
        world.apply(&vault, &op).expect("there is room");
        model = world.after(&model, &op);
    }
    let others = File::create(disk.join("others")).expect("a file");
    let mut at = 0;
    while others.write_all_at(&[1; 4096], at).is_ok() {
        at += 4096;
    }
    others.sync_all().expect("the disk works");
    assert!(model.len() > 3);
    for (number, kept) in model {
        world.apply(&vault, &Op::Delete(number, kept)).expect("it can be deleted");
    }
    assert_eq!(world.kept(&vault), Model::new());
}

#[test]
fn a_read_only_disk_is_refused_in_a_sentence() {
    let script = "mount -t tmpfs none $D && mkdir $D/vault && mount -o remount,ro $D && $TEST";
    match std::env::var_os(WHERE) {
        Some(disk) => {
            let path = Path::new(&disk).join("vault");
            let said = Vault::open(&path, QUOTA).expect_err("it cannot be written").to_string();
            assert_eq!(said, format!("{} cannot be used: its file system is read-only", path.display()));
        }
        None => again("disk::a_read_only_disk_is_refused_in_a_sentence", script),
    }
}
