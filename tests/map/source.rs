//! Reads imports: `use`, and paths written out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::Visit;

/// The files of a source tree and what they import of each other.
#[derive(Debug, Default)]
pub(crate) struct House {
    /// For each file, the files it imports, each with one path that says so. A file is named as the room it
    /// is: `peer/job/driver`, and `peer/job/job` for `peer/job.rs` where there is a folder `peer/job/`.
    pub(crate) imports: BTreeMap<String, BTreeMap<String, String>>,
    /// For each file, all paths written in it, and its method calls as `.name`.
    pub(crate) paths: BTreeMap<String, BTreeSet<String>>,
    /// For each file, the first sentence of what it says of itself.
    pub(crate) says: BTreeMap<String, String>,
}

/// Reads all files below `root`.
pub(crate) fn read(root: &str) -> House {
    let mut files = BTreeMap::new();
    collect(Path::new(root), &mut Vec::new(), &mut files);
    let mut house = House::default();
    for (module, text) in &files {
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{module:?}: {error}"));
        let mut paths = Paths { nested: 0, found: BTreeSet::new() };
        paths.visit_file(&parsed);
        let room = room(module, &files);
        let imports = house.imports.entry(room.clone()).or_default();
        for path in &paths.found {
            if let Some(target) = resolve(module, path, &files)
                && target != *module
            {
                imports.entry(self::room(&target, &files)).or_insert_with(|| path.join("::"));
            }
        }
        house.says.insert(room.clone(), first_sentence(&parsed.attrs));
        house.paths.insert(room, paths.found.into_iter().map(|path| path.join("::")).collect());
    }
    house
}

fn first_sentence(attributes: &[syn::Attribute]) -> String {
    let mut said = String::new();
    for attribute in attributes {
        if let syn::Meta::NameValue(meta) = &attribute.meta
            && meta.path.is_ident("doc")
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) = &meta.value
        {
            if line.value().trim().is_empty() {
                break;
            }
            said.push_str(line.value().trim_end());
        }
    }
    let said = said.trim();
    let end = said.find(". ").unwrap_or(said.len());
    said[..end].trim_end_matches('.').to_owned()
}

fn collect(folder: &Path, module: &mut Vec<String>, files: &mut BTreeMap<Vec<String>, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if stem == "tests" {
            continue;
        }
        if path.is_dir() {
            module.push(stem);
            collect(&path, module, files);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let mut name = module.clone();
            if stem != "mod" && (stem != "lib" || !module.is_empty()) {
                name.push(stem);
            }
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The name of the room that a module's file is.
fn room(module: &[String], files: &BTreeMap<Vec<String>, String>) -> String {
    let has_rooms = files.keys().any(|other| other.len() > module.len() && other.starts_with(module));
    let mut room = module.join("/");
    if has_rooms {
        if !room.is_empty() {
            room.push('/');
        }
        room.push_str(module.last().map_or("lib", String::as_str));
    }
    room
}

/// The module that a path names something of: the longest beginning of it that is a file.
fn resolve(module: &[String], path: &[String], files: &BTreeMap<Vec<String>, String>) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        _ => {
            let child = [module, std::slice::from_ref(first)].concat();
            files.keys().any(|file| file.starts_with(&child)).then_some(child)?
        }
    };
    for part in rest {
        if part == "super" {
            base.pop();
            continue;
        }
        base.push(part.clone());
        if !files.keys().any(|file| file.starts_with(&base)) {
            base.pop();
            break;
        }
    }
    files.contains_key(&base).then_some(base)
}

struct Paths {
    /// How deep in modules written inside the file.
    nested: usize,
    found: BTreeSet<Vec<String>>,
}

impl Paths {
    fn add(&mut self, mut path: Vec<String>) {
        // `super` in a module inside the file is the file.
        for _ in 0..self.nested {
            if path.first().is_some_and(|first| first == "super") {
                path.remove(0);
            }
        }
        self.found.insert(path);
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) if name.ident == "self" => self.add(before.to_vec()),
            syn::UseTree::Name(name) => self.add(with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add(before.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

impl<'a> Visit<'a> for Paths {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            self.nested += 1;
            syn::visit::visit_item_mod(self, item);
            self.nested -= 1;
        }
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.found.insert(vec![format!(".{}", call.method)]);
        syn::visit::visit_expr_method_call(self, call);
    }

    // Who may see a thing is nothing that it uses.
    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.segments.len() > 1 {
            self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }
}
