//! The one function that decides whether a symbolic link from outside stays inside its tree.

use crate::content::name::{SafeName, is_reserved};

/// True if a link at `path` with this target stays inside the tree that `path` is below, whatever the links
/// on its way are, as long as this holds for them too.
///
/// `..` may only lead the target: there it goes up from the folder that the link really lies in. Behind a
/// name, which may be a link itself, it would go up from somewhere else than it says.
pub fn leads_inside(path: &str, target: &str) -> bool {
    let mut above = path.matches('/').count();
    let mut named = false;
    if target.is_empty() || target.starts_with('/') || target.len() > SafeName::MAX_BYTES {
        return false;
    }
    target.split('/').all(|part| match part {
        "" | "." => true,
        ".." if named || above == 0 => false,
        ".." => {
            above -= 1;
            true
        }
        part if is_reserved(part) => false,
        part => {
            named = true;
            part.len() <= SafeName::MAX_PART_BYTES && !part.contains('\0')
        }
    })
}

/// What a link at `path` has to say to lead to `target`, both below one folder.
pub fn way_to(path: &str, target: &str) -> String {
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (from, to): (Vec<String>, Vec<String>) = (parts(folder), parts(target));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[common..].iter().map(|_| "..");
    let way = up.chain(to[common..].iter().map(String::as_str)).collect::<Vec<_>>().join("/");
    if way.is_empty() { ".".to_owned() } else { way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_inside_may_be_written_in_many_ways() {
        for (path, target) in [
            ("l", "a"),
            ("l", "a/b"),
            ("l", "./a//b/"),
            ("l", "."),
            ("l", "l"),
            ("d/l", ".."),
            ("d/l", "../a"),
            ("d/e/l", ".././../a/b"),
            ("l", "..."),
        ] {
            assert!(leads_inside(path, target), "{path} -> {target}");
        }
    }

    #[test]
    fn a_way_leads_where_it_should() {
        for (path, target, way) in [
            ("l", "a", "a"),
            ("d/l", "a/b", "../a/b"),
            ("d/e/l", "d/f", "../f"),
            ("d/e/l", "d", ".."),
            ("d/l", "d", "."),
            ("l", "", "."),
        ] {
            assert_eq!(way_to(path, target), way);
            assert!(leads_inside(path, way));
        }
    }

    #[test]
    fn what_leads_or_could_lead_out_does_not() {
        for (path, target) in [
            ("l", ""),
            ("l", "/"),
            ("l", "/etc/passwd"),
            ("l", ".."),
            ("l", "./../a"),
            ("d/l", "../../a"),
            ("d/e/l", "../a/../.."),
            ("l", "a/.."),
            ("l", ".p2p/index"),
            ("d/l", "../.p2p"),
            ("l", ".P2P/index"),
            ("l", "a\0b"),
        ] {
            assert!(!leads_inside(path, target), "{path} -> {target}");
        }
        assert!(!leads_inside("l", &"x".repeat(256)));
        assert!(!leads_inside("l", &"x/".repeat(2049)));
    }
}
