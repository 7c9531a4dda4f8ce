//! What a build works on at once, so that its memory does not grow with the window.
//!
//!     products with their tasks ─▶ slices of about `tasks_max` tasks: some products, or a part of one's visitors

use xxhash_rust::xxh3::xxh3_64;

/// A product whose organisation opted in, and the sessions that the organisation excludes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EligibleProduct {
    /// The organisation.
    pub org_id: String,
    /// The product.
    pub product_id: String,
    /// Sessions of these segments do not contribute.
    pub excluded_segments: Vec<String>,
    /// Sessions with an event whose route begins with one of these do not contribute.
    pub excluded_paths: Vec<String>,
}

/// Hash partition `number` of `count` partitions of a product's visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VisitorPartition {
    /// The number of the partition, from 0.
    pub number: u64,
    /// How many partitions there are, at least 1.
    pub count: u64,
}

impl VisitorPartition {
    /// Whether a visitor, named by the column `user_hash`, belongs to the partition.
    pub(crate) fn has(self, user_hash: Option<&str>) -> bool {
        xxh3_64(user_hash.unwrap_or_default().as_bytes()) % self.count == self.number
    }
}

/// What a build joins at once: whole products, or one partition of the visitors of a single product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The products, in the order of their organisations and names.
    pub products: Vec<EligibleProduct>,
    /// The visitors of these products that belong to the slice.
    pub visitors: VisitorPartition,
}

impl Slice {
    /// The first and the last organisation of the slice. Files and row groups of others need not be read.
    pub(crate) fn org_range(&self) -> (&str, &str) {
        let mut orgs = self.products.iter().map(|product| product.org_id.as_str());
        let first = orgs.next().unwrap_or_default();
        (first, orgs.next_back().unwrap_or(first))
    }
}

/// Cuts products, each with its number of tasks, into slices of about `tasks_max` tasks. The order of the products
/// stays, and no visitor of a product is in two slices.
pub fn slices(products: Vec<(EligibleProduct, u64)>, tasks_max: u64) -> Vec<Slice> {
    let mut slices: Vec<Slice> = Vec::new();
    let mut room = 0;
    for (product, tasks) in products {
        let count = tasks.div_ceil(tasks_max.max(1)).max(1);
        match slices.last_mut() {
            Some(slice) if tasks <= room => slice.products.push(product),
            _ => {
                let slice =
                    |number| Slice { products: vec![product.clone()], visitors: VisitorPartition { number, count } };
                slices.extend((0..count).map(slice));
                room = if count == 1 { tasks_max } else { 0 };
            }
        }
        room = room.saturating_sub(tasks);
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sliced(tasks: &[u64], tasks_max: u64) -> Vec<(Vec<usize>, u64, u64)> {
        let product = |number: usize| EligibleProduct {
            org_id: number.to_string(),
            product_id: String::new(),
            excluded_segments: Vec::new(),
            excluded_paths: Vec::new(),
        };
        let products = tasks.iter().enumerate().map(|(number, tasks)| (product(number), *tasks)).collect();
        let numbers = |slice: Slice| {
            let numbers = slice.products.iter().map(|product| product.org_id.parse().unwrap()).collect();
            (numbers, slice.visitors.number, slice.visitors.count)
        };
        slices(products, tasks_max).into_iter().map(numbers).collect()
    }

    #[test]
    fn small_products_share_a_slice_and_large_ones_are_cut() {
        assert_eq!(sliced(&[4, 6, 1, 10], 10), [(vec![0, 1], 0, 1), (vec![2], 0, 1), (vec![3], 0, 1)]);
        assert_eq!(
            sliced(&[1, 21, 1], 10),
            [(vec![0], 0, 1), (vec![1], 0, 3), (vec![1], 1, 3), (vec![1], 2, 3), (vec![2], 0, 1)]
        );
        assert_eq!(sliced(&[], 10), []);
        assert_eq!(sliced(&[0, 3], 0), [(vec![0], 0, 1), (vec![1], 0, 3), (vec![1], 1, 3), (vec![1], 2, 3)]);
    }
}
