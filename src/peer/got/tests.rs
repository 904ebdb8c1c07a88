//! What the record of what was fetched keeps, whatever is written into it.

use rustix::fs::{FileType, Mode};

use super::*;

fn id(byte: u8) -> FileId {
    FileId([byte; 32])
}

#[test]
fn what_was_put_where_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Got::read(folder.path()).is_empty());
    let mut got = Got::default();
    got.begin(None, id(9), [("alone", id(9))].into_iter());
    got.begin(Some("m/"), id(7), [("a", id(1)), ("d/b\n", id(2))].into_iter());
    got.write(folder.path()).unwrap();
    assert_eq!(Got::read(folder.path()), got);
    Got::append(folder.path(), "alone", id(8)).unwrap();
    got.begin(None, id(8), [("alone", id(8))].into_iter());
    assert_eq!(Got::read(folder.path()), got);
    assert!(got.owns("a", id(1)) && !got.owns("a", id(2)) && !got.owns("b", id(1)));
    let name = |name: &str| SafeName::new(name).unwrap();
    assert!(got.is_tree(&name("m/"), &[]) && got.is_tree(&name("n/"), &[id(7)]));
    assert!(!got.is_tree(&name("n/"), &[id(1)]));
}

#[test]
fn a_file_that_is_fetched_again_and_again_makes_no_long_record() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..3000 {
        Got::append(folder.path(), ["a", "b"][number % 2], id(1)).unwrap();
    }
    let got = Got::read(folder.path());
    assert!(got.owns("a", id(1)) && got.owns("b", id(1)));
    let bytes = fs::metadata(path_in(folder.path())).unwrap().len();
    assert!(bytes <= MIN_REPEATING * 2, "{bytes}");
    // What repeats nothing stays as it is.
    let names: Vec<String> = (0..1500).map(|number| format!("{number}")).collect();
    names.iter().for_each(|name| Got::append(folder.path(), name, id(2)).unwrap());
    let got = Got::read(folder.path());
    assert!(names.iter().all(|name| got.owns(name, id(2))) && got.owns("a", id(1)));
}

#[test]
fn nothing_is_written_through_what_lies_in_the_records_place() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    fs::create_dir(folder.path().join(SafeName::STATE_FOLDER)).unwrap();
    std::os::unix::fs::symlink(&precious, path_in(folder.path())).unwrap();
    Got::append(folder.path(), "f", id(1)).unwrap();
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert!(Got::read(folder.path()).owns("f", id(1)));
    fs::remove_file(path_in(folder.path())).unwrap();
    let path = path_in(folder.path());
    rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    Got::append(folder.path(), "f", id(2)).unwrap();
    assert!(Got::read(folder.path()).owns("f", id(2)), "a pipe is not waited for");
}

#[test]
fn a_folder_is_whole_if_nothing_was_changed_added_or_taken_away() {
    let mut got = Got::default();
    let all = [("a", id(1)), ("d/b", id(2))];
    got.begin(Some("m/"), id(7), all.into_iter());
    let whole = |got: &Got, within: &str, files: &[(&'static str, FileId)]| {
        got.is_whole(within, files.iter().copied())
    };
    assert!(whole(&got, "", &all[..1]), "the rest is on its way");
    got.finish(all.into_iter());
    assert!(whole(&got, "", &all) && whole(&got, "d", &all[1..]));
    assert!(!whole(&got, "", &all[..1]), "one was taken away");
    assert!(!whole(&got, "", &[("a", id(3)), ("d/b", id(2))]), "one was changed");
    got.begin(None, id(5), [("c", id(5))].into_iter());
    assert!(!whole(&got, "", &[("a", id(1)), ("c", id(5)), ("d/b", id(2))]), "one came alone");
}

#[test]
fn a_newer_version_and_the_older_are_both_own_while_one_replaces_the_other() {
    let mut got = Got::default();
    got.begin(Some("m/"), id(7), [("a", id(1)), ("old", id(2))].into_iter());
    got.begin(Some("m/"), id(8), [("a", id(3))].into_iter());
    assert!(got.owns("a", id(1)) && got.owns("a", id(3)));
    got.finish([("a", id(3))].into_iter());
    assert!(!got.owns("a", id(1)) && got.owns("a", id(3)) && got.owns("old", id(2)));
}

#[test]
fn a_path_is_a_link_or_a_file_and_of_one_version() {
    let folder = tempfile::tempdir().unwrap();
    let mut got = Got::default();
    got.begin(Some("m/"), id(7), [("a", id(1))].into_iter());
    got.put_link("l", "a");
    got.finish([("a", id(1))].into_iter());
    got.finish_link("l", "a");
    got.put_link("l", "b");
    got.put_link("a", "b");
    assert!(got.owns_link("l", "a") && got.owns_link("l", "b") && got.owns("a", id(1)));
    got.write(folder.path()).unwrap();
    assert_eq!(Got::read(folder.path()), got);
    got.finish_link("l", "b");
    got.finish_link("a", "b");
    assert!(!got.owns_link("l", "a") && got.owns_link("a", "b") && !got.knows("a"));
    got.begin(Some("m/"), id(8), [("l", id(2))].into_iter());
    got.finish([("l", id(2))].into_iter());
    assert!(!got.owns_link("l", "b") && got.owns("l", id(2)));
}

#[test]
fn folders_are_own_until_they_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut got = Got::default();
    got.put_link("l", "a");
    got.make_folders(["d", "d/e"].into_iter());
    got.write(folder.path()).unwrap();
    assert_eq!(Got::read(folder.path()), got);
    assert!(got.owns_folder("d") && !got.owns_folder("l"));
    assert_eq!(got.folders_inside_out().collect::<Vec<_>>(), ["d/e", "d"]);
    got.forget(["l", "d", "d/e"].into_iter());
    assert!(got.is_empty());
}

#[test]
fn damage_costs_lines_and_nothing_else() {
    let got = Got::parse(b"{\"path\":\"../x\",\"id\":\"00\"}\nnonsense\n{\"path\":\"a\"}\n\xff\n{}\n[1]");
    assert!(got.is_empty());
}
