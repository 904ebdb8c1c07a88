//! What a listing may say, and what is refused.

use super::*;

const LOOKS: Looks = Looks { mode: 0o644, mtime_ns: -5 };

fn entry(path: &str, kind: TreeKind) -> TreeEntry {
    TreeEntry { path: SafeName::new(path).unwrap(), kind }
}

fn file(path: &str, content: &[u8]) -> TreeEntry {
    entry(path, TreeKind::File { looks: LOOKS, size: content.len() as u64, id: FileId::of(content) })
}

fn folder(path: &str) -> TreeEntry {
    entry(path, TreeKind::Folder(Looks { mode: 0o750, mtime_ns: 7 }))
}

fn link(path: &str, target: &str) -> TreeEntry {
    entry(path, TreeKind::Link(target.into()))
}

fn hard(path: &str, of: &str) -> TreeEntry {
    entry(path, TreeKind::HardLink(SafeName::new(of).unwrap()))
}

fn tree(entries: Vec<TreeEntry>) -> Result<Tree, TreeError> {
    Tree::new(0o755, entries, LeftOut::default())
}

fn sample() -> Tree {
    let missing = |path: &str, reason| Missing { path: path.to_owned(), reason };
    let entries = vec![
        file("b/x", b"same"),
        folder("b"),
        folder("empty"),
        file("a", b"same"),
        file("b.txt", b"other"),
        link("b/up", "../a"),
        hard("c", "b/x"),
    ];
    let left_out = [missing("pipe", Reason::Special), missing("b/secret", Reason::Unreadable)];
    Tree::new(0o700, entries, LeftOut::new(left_out)).unwrap()
}

/// Encoded without a check.
fn bytes_of(entries: Vec<TreeEntry>) -> Vec<u8> {
    Tree { mode: 0o755, entries, left_out: LeftOut::default() }.encode()
}

#[test]
fn a_listing_reads_back() {
    let tree = sample();
    assert_eq!(Tree::decode(&tree.encode()), Ok(tree));
}

#[test]
fn a_listing_says_what_it_was_made_of() {
    let tree = sample();
    assert_eq!(tree.mode(), 0o700);
    let paths: Vec<&str> = tree.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a", "b", "b.txt", "b/up", "b/x", "c", "empty"]);
    assert_eq!(tree.left_out().more(), 0);
    assert_eq!(tree.left_out().named().len(), 2);
    assert_eq!(tree.bytes_on_disk(), 4 + 4 + 5, "equal files lie there twice, other names of one do not");
}

#[test]
fn no_prefix_of_a_listing_is_another_tree_with_half_an_entry() {
    let bytes = sample().encode();
    let whole = (0..bytes.len()).filter(|len| Tree::decode(&bytes[..*len]).is_ok()).count();
    assert_eq!(whole, 9, "only cuts between entries decode");
}

#[test]
fn an_entry_needs_its_folder() {
    for entries in [
        vec![file("a/b", b"")],
        vec![file("a", b""), file("a/b", b"")],
        vec![file("a", b""), file("a-", b""), file("a/b", b"")],
        vec![link("a", "b"), file("a/b", b"")],
        vec![folder("a/b")],
        vec![folder("a"), folder("a/b/c")],
    ] {
        assert_eq!(tree(entries.clone()), Err(TreeError::Folder), "{entries:?}");
        assert_eq!(Tree::decode(&bytes_of(entries)), Err(TreeError::Folder));
    }
    assert_eq!(tree(vec![file("a", b""), file("a", b"x")]), Err(TreeError::Order));
    assert_eq!(Tree::decode(&bytes_of(vec![file("b", b""), file("a", b"x")])), Err(TreeError::Order));
}

#[test]
fn links_stay_inside_and_hard_links_name_an_earlier_file() {
    for (entries, error) in [
        (vec![link("a", "/etc/passwd")], TreeError::Outside),
        (vec![link("a", "../b")], TreeError::Outside),
        (vec![folder("a"), link("a/b", "../../c")], TreeError::Outside),
        (vec![hard("a", "b")], TreeError::HardLink),
        (vec![hard("a", "b"), file("b", b"")], TreeError::HardLink),
        (vec![folder("a"), hard("b", "a")], TreeError::HardLink),
        (vec![file("a", b""), hard("b", "a"), hard("c", "b")], TreeError::HardLink),
        (vec![hard("a", "a")], TreeError::HardLink),
    ] {
        assert_eq!(tree(entries.clone()), Err(error), "{entries:?}");
        assert_eq!(Tree::decode(&bytes_of(entries)), Err(error));
    }
}

#[test]
fn modes_have_nine_bits_and_empty_files_the_empty_id() {
    let wide = Looks { mode: 0o4755, ..LOOKS };
    let set_id = entry("a", TreeKind::File { looks: wide, size: 1, id: FileId::of(b"x") });
    assert_eq!(Tree::decode(&bytes_of(vec![set_id])), Err(TreeError::Kind));
    assert_eq!(Tree::decode(&bytes_of(vec![entry("a", TreeKind::Folder(wide))])), Err(TreeError::Kind));
    assert_eq!(Tree::new(0o1777, vec![], LeftOut::default()), Err(TreeError::Kind));
    let empty = entry("a", TreeKind::File { looks: LOOKS, size: 0, id: FileId::of(b"x") });
    assert_eq!(tree(vec![empty]), Err(TreeError::Size));
    let full = entry("a", TreeKind::File { looks: LOOKS, size: 5, id: FileId::of(b"") });
    assert_eq!(tree(vec![full]), Err(TreeError::Size));
}

#[test]
fn a_small_listing_cannot_ask_for_many_folders() {
    // 100 paths of 2040 folders each, in 403 KiB, were 800 MB of folders.
    let deep = |n: usize| folder(&format!("{n:03}/{}", vec!["a"; 2040].join("/")));
    let bytes = bytes_of((0..100).map(deep).collect());
    assert!(Tree::decode(&bytes).is_err());
    let nested = |depth: usize| (1..=depth).map(|len| folder(&vec!["d"; len].join("/"))).collect::<Vec<_>>();
    assert!(tree(nested(Tree::MAX_DEPTH)).is_ok());
    assert_eq!(Tree::decode(&bytes_of(nested(Tree::MAX_DEPTH + 1))), Err(TreeError::Depth));
    let wide = |count: usize| (0..count).map(|n| folder(&format!("{n:06}"))).collect::<Vec<_>>();
    let widest = tree(wide(Tree::MAX_FOLDERS)).unwrap().encode();
    assert!(Tree::decode(&widest).is_ok(), "what can be made can be read");
    let one_more = [&widest[..], &[1]].concat();
    assert_eq!(Tree::decode(&one_more), Err(TreeError::Folders), "before anything of it is read");
    assert_eq!(Tree::decode(&bytes_of(wide(Tree::MAX_FOLDERS + 1))), Err(TreeError::Folders));
}

#[test]
fn a_million_files_are_no_bomb() {
    let folders = (0..100_000).map(|n| folder(&format!("{n:05}")));
    let files = (0..1_000_000).map(|n| file(&format!("{:05}/{n:07}.txt", n / 10), b"x"));
    let bytes = tree(folders.chain(files).collect()).unwrap().encode();
    assert!(bytes.len() as u64 <= Tree::MAX_BYTES);
    assert!(Tree::decode(&bytes).is_ok());
}

#[test]
fn of_more_than_two_million_entries_none_is_made() {
    let one = &bytes_of(vec![hard("b", "a")])[10..];
    let all = [&bytes_of(Vec::new())[..], &one.repeat(Tree::MAX_ENTRIES)].concat();
    assert_eq!(Tree::decode(&all), Err(TreeError::Order), "as many are looked at");
    let one_more = [&all[..], &[3]].concat();
    assert_eq!(Tree::decode(&one_more), Err(TreeError::Entries), "before anything of it is read");
}

#[test]
fn more_chunks_than_can_be_numbered_are_refused_before_anything_is_made_for_them() {
    let huge = |path: &str| {
        let id = FileId::of(path.as_bytes());
        entry(path, TreeKind::File { looks: LOOKS, size: Geometry::MAX_SIZE, id })
    };
    let two = tree(vec![huge("a"), huge("b")]).unwrap();
    assert_eq!(two.layout().unwrap().layout.chunks(), Layout::MAX_CHUNKS);
    let three = tree(vec![huge("a"), huge("b"), file("c", b"x")]).unwrap();
    assert_eq!(three.layout().err(), Some(TreeError::TooLarge));
}

#[test]
fn equal_contents_are_numbered_once() {
    let layout = sample().layout().unwrap();
    // a, b, b.txt, b/up, b/x, c, empty
    assert_eq!(layout.file_of, [Some(0), None, Some(1), None, Some(0), Some(0), None]);
    assert_eq!(layout.layout.chunks(), 2);
    assert_eq!(layout.layout.size(), 9, "each content once");
    assert_eq!(sample().bytes_on_disk(), 13, "each file, hard links not");
}

#[test]
fn what_was_left_out_comes_last_and_once() {
    let left_out = |count: usize| {
        let missing = |n| Missing { path: format!("{n:03}"), reason: Reason::Name };
        Tree::new(0o755, vec![file("a", b"")], LeftOut::new((0..count).map(missing))).unwrap().encode()
    };
    assert_eq!(Tree::decode(&left_out(70)).unwrap().left_out().count(), 70);
    let mut bytes = left_out(70);
    let end = bytes.len() - 4;
    bytes[end..].fill(0);
    assert_eq!(Tree::decode(&bytes), Err(TreeError::LeftOut), "none more");
    let bytes = [left_out(1), bytes_of(vec![file("b", b"")])[10..].to_vec()].concat();
    assert_eq!(Tree::decode(&bytes), Err(TreeError::Order), "an entry behind it");
    let mut bytes = left_out(1);
    *bytes.last_mut().unwrap() = 99;
    assert_eq!(Tree::decode(&bytes), Err(TreeError::Kind), "an unknown reason");
}
