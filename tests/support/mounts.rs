//! Disks of a test's own, in a mount namespace that ends with its process.
#![allow(unreachable_pub, reason = "shared by several test programs")]

use std::process::{Command, Stdio};

/// True where a test may have mounts of its own; where it may not, a line says that the test is skipped.
pub fn private_mounts() -> bool {
    let able = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !able {
        eprintln!("SKIPPED: this needs root and `unshare --mount`");
    }
    able
}
