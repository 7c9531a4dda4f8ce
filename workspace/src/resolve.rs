//! Follows each path to the file that defines what it names.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::graph::FileGraph;
use crate::module::ModuleTree;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Module(usize),
    /// An item, and the module that defines it.
    Item(usize, String),
}

/// Names that are being looked up, by module: imports may lead in a circle.
type Pending = BTreeSet<(usize, String)>;

/// Which file uses which.
///
/// # Errors
///
/// A path that begins with `crate`, `self` or `super` leads to no item.
pub(crate) fn uses(tree: &ModuleTree) -> Result<FileGraph, Error> {
    let mut graph = FileGraph::default();
    for (index, module) in tree.modules.iter().enumerate() {
        graph.add_file(&module.file);
        let imported = module.imports.iter().map(|import| (&import.target, import.exported));
        for (path, exported) in imported.chain(module.names.iter().map(|path| (path, false))) {
            let targets = tree.follow(index, path, &mut Pending::new());
            if targets.is_empty() && matches!(path[0].as_str(), "crate" | "self" | "super") {
                return Err(Error::Undefined { file: module.file.clone(), name: path.join("::") });
            }
            if exported {
                continue;
            }
            for target in targets {
                if let Target::Item(home, name) = target {
                    graph.add_use(&module.file, &tree.modules[home].file, &name);
                }
            }
        }
    }
    Ok(graph)
}

impl ModuleTree {
    /// What `path`, as it stands in module `from`, leads to. Empty: to another crate, to a local
    /// variable, to a generic parameter.
    fn follow(&self, from: usize, path: &[String], pending: &mut Pending) -> BTreeSet<Target> {
        let mut reached = BTreeSet::from([Target::Module(from)]);
        for (at, segment) in path.iter().enumerate() {
            let Some(module) = reached.iter().find_map(|target| match target {
                Target::Module(module) => Some(*module),
                Target::Item(..) => None,
            }) else {
                // The rest is a variant or an associated function of an item.
                return reached;
            };
            let only_items = reached.len() > 1;
            let next = match segment.as_str() {
                "crate" => BTreeSet::from([Target::Module(self.root_of(from))]),
                "self" => BTreeSet::from([Target::Module(module)]),
                "super" => self.modules[module].parent.map(Target::Module).into_iter().collect(),
                "Self" => BTreeSet::new(),
                name => self.look_up(module, name, at == 0, pending),
            };
            if next.is_empty() && only_items {
                // A name of both a module and an item: the item's variant, say.
                reached.retain(|target| matches!(target, Target::Item(..)));
                return reached;
            }
            reached = next;
            if reached.is_empty() {
                break;
            }
        }
        if path.iter().all(|segment| segment == "Self") { BTreeSet::new() } else { reached }
    }

    /// What `name` is in `module`. `first`: it begins a path, so crates and macros of the parents
    /// are in scope too.
    fn look_up(&self, index: usize, name: &str, first: bool, pending: &mut Pending) -> BTreeSet<Target> {
        let module = &self.modules[index];
        let mut found = BTreeSet::new();
        if module.items.contains(name) {
            found.insert(Target::Item(index, name.to_owned()));
        }
        found.extend(module.children.get(name).map(|child| Target::Module(*child)));
        if pending.insert((index, name.to_owned())) {
            // A module and a function may share a name, so imports count beside what is defined.
            for import in module.imports.iter().filter(|import| import.name.as_deref() == Some(name)) {
                found.extend(self.follow(index, &import.target, pending));
            }
            // What is named one by one hides what comes with a `*`.
            let globs: Vec<_> = module.imports.iter().filter(|import| import.name.is_none()).collect();
            for import in if found.is_empty() { globs } else { Vec::new() } {
                for target in self.follow(index, &import.target, pending) {
                    if let Target::Module(other) = target {
                        found.extend(self.look_up(other, name, false, pending));
                    }
                }
            }
            pending.remove(&(index, name.to_owned()));
        }
        if found.is_empty() && first {
            found.extend(self.macro_in_scope(index, name));
            found.extend(self.library.filter(|_| name == self.name).map(Target::Module));
        }
        found
    }

    /// A `macro_rules!` of a parent reaches its children without a path.
    fn macro_in_scope(&self, index: usize, name: &str) -> Option<Target> {
        let parents = std::iter::successors(self.modules[index].parent, |parent| self.modules[*parent].parent);
        let home = parents.into_iter().find(|parent| self.modules[*parent].macros.contains(name))?;
        Some(Target::Item(home, name.to_owned()))
    }

    fn root_of(&self, index: usize) -> usize {
        std::iter::successors(Some(index), |module| self.modules[*module].parent).last().unwrap_or(index)
    }
}
