//! Decodes the row groups of one file one after another, where event ids are made: equal rows are counted in order.

use std::ops::Range;

use crate::Error;
use crate::read::{ReadBatch, UnitDecoder};

type Open = Box<dyn Fn(usize) -> Result<Box<dyn UnitDecoder>, Error> + Send>;

/// Decodes all row groups of a file, in order.
pub(crate) struct WholeFileDecoder {
    groups: Range<usize>,
    open: Open,
    current: Option<Box<dyn UnitDecoder>>,
}

impl WholeFileDecoder {
    /// A decoder of `groups` row groups; `open` opens the one with this number.
    pub(crate) fn new(groups: usize, open: Open) -> Self {
        Self { groups: 0..groups, open, current: None }
    }
}

impl UnitDecoder for WholeFileDecoder {
    fn next(&mut self) -> Option<Result<ReadBatch, Error>> {
        loop {
            if let Some(decoded) = self.current.as_mut().and_then(|current| current.next()) {
                return Some(decoded);
            }
            match (self.open)(self.groups.next()?) {
                Ok(current) => self.current = Some(current),
                Err(error) => {
                    self.groups = 0..0;
                    return Some(Err(error));
                }
            }
        }
    }
}
