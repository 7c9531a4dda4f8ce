//! Takes a `use` apart into one import for each name.

use syn::{UseTree, Visibility};

/// A path as it stands in the source, such as `["super", "keys", "Key"]`.
pub(crate) type Segments = Vec<String>;

/// One name, or one `*`, of a `use`.
#[derive(Debug, Clone)]
pub(crate) struct Import {
    /// The name it has in this module. `None`: all names of the target.
    pub name: Option<String>,
    pub target: Segments,
    /// `pub use`, or visible to a part of the crate.
    pub exported: bool,
}

/// The imports of one `use`, groups, `self` and renamings taken apart.
pub(crate) fn imports_of(item: &syn::ItemUse) -> Vec<Import> {
    let mut imports = Vec::new();
    if item.leading_colon.is_none() {
        let exported = !matches!(item.vis, Visibility::Inherited);
        take_apart(&item.tree, &mut Vec::new(), exported, &mut imports);
    }
    imports
}

fn take_apart(tree: &UseTree, prefix: &mut Segments, exported: bool, imports: &mut Vec<Import>) {
    let mut add = |last: Option<String>, name: Option<String>| {
        let mut target = prefix.clone();
        target.extend(last.filter(|last| last != "self" || prefix.is_empty()));
        imports.push(Import { name, target, exported });
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            take_apart(&path.tree, prefix, exported, imports);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => add(None, prefix.last().cloned()),
        UseTree::Name(name) => add(Some(name.ident.to_string()), Some(name.ident.to_string())),
        UseTree::Rename(renamed) => add(Some(renamed.ident.to_string()), Some(renamed.rename.to_string())),
        UseTree::Glob(_) => add(None, None),
        UseTree::Group(group) => group.items.iter().for_each(|tree| take_apart(tree, prefix, exported, imports)),
    }
}
