//! The modules of a crate: what each defines, imports and names.
//!
//!     lib.rs ─▶ syn ─▶ Module { items, children, imports, names } ─▶ the files of its children ─▶ …

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, ItemMod};

use crate::error::Error;
use crate::imports::{Import, Segments};
use crate::items::{attributes, defined, is_for_tests};
use crate::names::Names;

/// All modules of a crate, its library's and its program's. A module is named by its index.
#[derive(Debug)]
pub(crate) struct ModuleTree {
    /// The name by which the program uses its library.
    pub name: String,
    /// The index of the library's root, where there is one.
    pub library: Option<usize>,
    pub modules: Vec<Module>,
    /// Files of modules that are for tests only. They are not read.
    pub for_tests: Vec<String>,
    sources: PathBuf,
}

/// A module, in a file of its own or inline.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its file, below `src`.
    pub file: String,
    pub parent: Option<usize>,
    pub children: BTreeMap<String, usize>,
    /// Names of the items it defines, macros included.
    pub items: BTreeSet<String>,
    /// Those of `items` that `macro_rules!` defines.
    pub macros: BTreeSet<String>,
    pub imports: Vec<Import>,
    /// Paths that its code names, imports aside.
    pub names: BTreeSet<Segments>,
}

impl ModuleTree {
    pub(crate) fn new(name: &str, sources: &Path) -> Self {
        Self {
            name: name.to_owned(),
            library: None,
            modules: Vec::new(),
            for_tests: Vec::new(),
            sources: sources.to_owned(),
        }
    }
}

/// Adds the modules that begin at `file`, which is the root of a library or a program.
pub(crate) fn read_tree(tree: &mut ModuleTree, file: &str) -> Result<(), Error> {
    let root = read_file(tree, Path::new(file), Path::new(""), None)?;
    if file == "lib.rs" {
        tree.library = Some(root);
    }
    Ok(())
}

/// Adds the module in `file`; the files of its children lie in `folder`. Gives its index.
fn read_file(tree: &mut ModuleTree, file: &Path, folder: &Path, parent: Option<usize>) -> Result<usize, Error> {
    let path = tree.sources.join(file);
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let parsed = syn::parse_file(&text).map_err(|source| Error::Rust { path, source })?;
    read_items(tree, file, folder, parent, &parsed.items)
}

fn read_items(
    tree: &mut ModuleTree,
    file: &Path,
    folder: &Path,
    parent: Option<usize>,
    items: &[Item],
) -> Result<usize, Error> {
    let mut module = Module {
        file: file.display().to_string(),
        parent,
        children: BTreeMap::new(),
        items: BTreeSet::new(),
        macros: BTreeSet::new(),
        imports: Vec::new(),
        names: BTreeSet::new(),
    };
    let mut names = Names::default();
    let mut children = Vec::new();
    for item in items {
        if attributes(item).iter().any(is_for_tests) {
            if let Item::Mod(child) = item {
                let (file, _) = file_of(tree, child, file, folder);
                tree.for_tests.push(file.display().to_string());
            }
            continue;
        }
        match item {
            Item::Mod(child) => children.push(child),
            item => {
                module.items.extend(defined(item));
                if let Item::Macro(rules) = item {
                    module.macros.extend(rules.ident.as_ref().map(ToString::to_string));
                }
                names.read(item);
            }
        }
    }
    (module.imports, module.names) = names.finish();
    let index = tree.modules.len();
    tree.modules.push(module);
    for child in children {
        let name = child.ident.to_string();
        let child = match &child.content {
            Some((_, items)) => read_items(tree, file, &folder.join(&name), Some(index), items)?,
            None => {
                let (file, folder) = file_of(tree, child, file, folder);
                read_file(tree, &file, &folder, Some(index))?
            }
        };
        tree.modules[index].children.insert(name, child);
    }
    Ok(index)
}

/// Where `mod child;` in `file` leads, and the folder of that module's children.
fn file_of(tree: &ModuleTree, child: &ItemMod, file: &Path, folder: &Path) -> (PathBuf, PathBuf) {
    let name = child.ident.to_string();
    if let Some(path) = child.attrs.iter().find_map(path_attribute) {
        let beside = file.parent().unwrap_or(Path::new("")).join(path);
        return (beside.clone(), beside.parent().unwrap_or(Path::new("")).to_owned());
    }
    let (flat, nested) = (folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs"));
    let file = if tree.sources.join(&flat).exists() { flat } else { nested };
    (file, folder.join(name))
}

fn path_attribute(attribute: &Attribute) -> Option<String> {
    let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = &pair.value else { return None };
    pair.path.is_ident("path").then(|| path.value())
}
