//! Collects the paths that code names, in macros and attributes too.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::imports::{Import, Segments, imports_of};
use crate::items::{attributes, is_for_tests};

/// What the items of one module name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    imports: Vec<Import>,
    paths: BTreeSet<Segments>,
    /// Local variables and arguments. A short path to one of them names no item.
    variables: BTreeSet<String>,
}

impl Names {
    pub(crate) fn read(&mut self, item: &syn::Item) {
        self.visit_item(item);
    }

    /// The imports and paths of all items read.
    pub(crate) fn finish(mut self) -> (Vec<Import>, BTreeSet<Segments>) {
        let variables = self.variables;
        self.paths.retain(|path| path.len() > 1 || !variables.contains(&path[0]));
        (self.imports, self.paths)
    }

    /// Paths among tokens whose meaning only their macro knows. A single lower-case word counts
    /// where it is called; elsewhere it may be anything.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.read_tokens(group.stream()),
                TokenTree::Ident(first) if at == 0 || !is_punct(&tokens[at - 1], ".'") => {
                    let mut path = vec![first.to_string()];
                    while let Some([colon, second, TokenTree::Ident(next)]) = tokens.get(at + 1..at + 4) {
                        if !(is_punct(colon, ":") && is_punct(second, ":")) {
                            break;
                        }
                        path.push(next.to_string());
                        at += 3;
                    }
                    let next = tokens.get(at + 1);
                    let called = next.is_some_and(|next| {
                        is_punct(next, "!")
                            || matches!(next, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
                    });
                    if path.len() > 1 || called || path[0].starts_with(char::is_uppercase) {
                        self.paths.insert(path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

fn is_punct(token: &TokenTree, characters: &str) -> bool {
    matches!(token, TokenTree::Punct(punct) if characters.contains(punct.as_char()))
}

fn words(path: &syn::Path) -> Segments {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

impl<'ast> Visit<'ast> for Names {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.paths.insert(words(path));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.read_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let syn::Meta::List(list) = &attribute.meta else { return };
        self.read_tokens(list.tokens.clone());
        // `#[serde(default = "super::bounds::default_gap")]`
        for token in list.tokens.clone() {
            if let TokenTree::Literal(literal) = token
                && let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string())
                && let Ok(path) = text.parse::<syn::Path>()
                && path.segments.len() > 1
            {
                self.paths.insert(words(&path));
            }
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.imports.extend(imports_of(item));
    }

    /// `pub(in super::super)` says who may see an item; it uses none.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.variables.insert(pattern.ident.to_string());
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, method: &'ast syn::ImplItemFn) {
        if !method.attrs.iter().any(is_for_tests) {
            visit::visit_impl_item_fn(self, method);
        }
    }
}
