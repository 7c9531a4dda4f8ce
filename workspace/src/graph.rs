//! Files and uses between them: layers from the ground up, and cycles.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// Which file of a crate uses which, and for which names.
#[derive(Debug, Default)]
pub struct FileGraph {
    /// By the file that uses: the files it uses, and what it takes from each.
    uses: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl FileGraph {
    /// The files, by name.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.uses.keys().map(String::as_str)
    }

    /// What `file` uses, and the names it takes from each.
    pub fn uses_of(&self, file: &str) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.uses.get(file).into_iter().flatten().map(|(used, names)| (used.as_str(), names))
    }

    pub(crate) fn add_file(&mut self, file: &str) {
        self.uses.entry(file.to_owned()).or_default();
    }

    pub(crate) fn add_use(&mut self, file: &str, used: &str, name: &str) {
        if file != used {
            let names = self.uses.entry(file.to_owned()).or_default().entry(used.to_owned()).or_default();
            names.insert(name.to_owned());
        }
    }

    /// Groups of files that all use each other, directly or through others. Each group has two
    /// files at least; none: the crate has no cycle.
    pub fn tangles(&self) -> Vec<BTreeSet<&str>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> = self.files().map(|file| (file, self.reached_from(file))).collect();
        let mut tangles = BTreeSet::new();
        for (file, reached) in &reach {
            if reached.contains(file) {
                tangles.insert(reached.iter().copied().filter(|other| reach[other].contains(file)).collect());
            }
        }
        tangles.into_iter().collect()
    }

    /// One shortest cycle within each tangle, as text: `a.rs → b.rs (Name) → a.rs (Other)`. The
    /// names in brackets are what the file before takes.
    pub fn cycles(&self) -> Vec<String> {
        self.tangles().into_iter().filter_map(|tangle| self.shortest_cycle(&tangle)).collect()
    }

    /// Files by layer: those in layer 0 use no other; a file lies one above the highest it uses.
    /// A tangle lies on one layer.
    pub fn layers(&self) -> Vec<Vec<&str>> {
        let mut layer_of: BTreeMap<&str, usize> = self.files().map(|file| (file, 0)).collect();
        let reach: BTreeMap<&str, BTreeSet<&str>> = self.files().map(|file| (file, self.reached_from(file))).collect();
        // Fewer files are reached from a file than from those above it.
        let mut upwards: Vec<&str> = self.files().collect();
        upwards.sort_by_key(|file| reach[file].len());
        for file in upwards {
            let below = reach[file].iter().filter(|used| !reach[*used].contains(file));
            let layer = below.map(|used| layer_of[used] + 1).max().unwrap_or(0);
            layer_of.insert(file, layer);
        }
        let mut layers = vec![Vec::new(); layer_of.values().max().map_or(0, |highest| highest + 1)];
        for (file, layer) in layer_of {
            layers[layer].push(file);
        }
        layers
    }

    /// The files that `file` uses, directly or through others; itself only on a cycle.
    fn reached_from(&self, file: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = self.uses_of(file).map(|(used, _)| used).collect();
        while let Some(used) = open.pop() {
            if reached.insert(used) {
                open.extend(self.uses_of(used).map(|(used, _)| used));
            }
        }
        reached
    }

    fn shortest_cycle(&self, tangle: &BTreeSet<&str>) -> Option<String> {
        let cycle = tangle.iter().filter_map(|file| self.way_back_to(file)).min_by_key(Vec::len)?;
        let mut text = cycle[0].to_owned();
        for step in cycle.windows(2) {
            let names: Vec<&str> = self.uses[step[0]][step[1]].iter().map(String::as_str).collect();
            text.push_str(&format!(" → {} ({})", step[1], names.join(", ")));
        }
        Some(text)
    }

    /// The shortest way from `file` along what is used back to it, both ends included.
    fn way_back_to(&self, file: &str) -> Option<Vec<&str>> {
        let (file, _) = self.uses.get_key_value(file)?;
        let mut ways = VecDeque::from([vec![file.as_str()]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            for (used, _) in self.uses_of(way.last()?) {
                let mut way = way.clone();
                way.push(used);
                if used == file {
                    return Some(way);
                }
                if seen.insert(used) {
                    ways.push_back(way);
                }
            }
        }
        None
    }
}

/// Layer by layer, then the uses within each tangle.
impl fmt::Display for FileGraph {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, layer) in self.layers().iter().enumerate() {
            writeln!(out, "  layer {number}")?;
            for file in layer {
                let used: Vec<&str> = self.uses_of(file).map(|(used, _)| used).collect();
                let arrow = if used.is_empty() { "" } else { "  → " };
                writeln!(out, "    {file}{arrow}{}", used.join(", "))?;
            }
        }
        for tangle in self.tangles() {
            writeln!(out, "  cycle of {} files", tangle.len())?;
            for file in &tangle {
                for (used, names) in self.uses_of(file).filter(|(used, _)| tangle.contains(used)) {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    writeln!(out, "    {file} → {used} ({})", names.join(", "))?;
                }
            }
        }
        Ok(())
    }
}
